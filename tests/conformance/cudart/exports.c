/* exports LIBRARY VERSION NAMES: every name of NVIDIA's library is exported by ours, under the
 * version to which programs are linked. What breaks it: a name that nobody described, a function
 * that the version script names and nobody wrote, another version. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int count, char **arguments)
{
    char name[256];
    size_t names = 0, missing = 0;
    if (count != 4)
        return 2;
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    FILE *list = fopen(arguments[3], "r");
    if (!library || !list) {
        fprintf(stderr, "%s\n", library ? arguments[3] : dlerror());
        return 1;
    }
    for (; fgets(name, sizeof(name), list); names++) {
        name[strcspn(name, "\n")] = '\0';
        if (!dlvsym(library, name, arguments[2])) {
            fprintf(stderr, "%s is not exported as %s\n", name, arguments[2]);
            missing++;
        }
    }
    fclose(list);
    return missing || names < 300;
}
