/* Under the name of a libcudart, and nothing of one: a program that gets this library does not
 * start. */
int weft_test_nothing(void);
int weft_test_nothing(void)
{
    return 0;
}
