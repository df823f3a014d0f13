/* Included before every source. Binds the functions that glibc gave a newer version than our floor
 * (GLIBC_2.28), without changing them, to the version that was there before: what is linked on a
 * new system then runs on an old one. Sanitizers put themselves in the place of the newest version,
 * so they go without.
 *
 * fstat, stat and lstat have no old version: use statx, or lseek for a size. */
#if !defined(__ASSEMBLER__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define OLD(name, version) __asm__(".symver " #name "," #name "@GLIBC_" #version)
OLD(dladdr, 2.2.5);
OLD(dlclose, 2.2.5);
OLD(dlerror, 2.2.5);
OLD(dlinfo, 2.3.3);
OLD(dlopen, 2.2.5);
OLD(dlsym, 2.2.5);
OLD(pthread_create, 2.2.5);
OLD(pthread_detach, 2.2.5);
OLD(pthread_getspecific, 2.2.5);
OLD(pthread_join, 2.2.5);
OLD(pthread_key_create, 2.2.5);
OLD(pthread_key_delete, 2.2.5);
OLD(pthread_kill, 2.2.5);
OLD(pthread_mutex_timedlock, 2.2.5);
OLD(pthread_mutex_trylock, 2.2.5);
OLD(pthread_mutexattr_destroy, 2.2.5);
OLD(pthread_mutexattr_init, 2.2.5);
OLD(pthread_mutexattr_settype, 2.2.5);
OLD(pthread_once, 2.2.5);
OLD(pthread_rwlock_rdlock, 2.2.5);
OLD(pthread_rwlock_unlock, 2.2.5);
OLD(pthread_rwlock_wrlock, 2.2.5);
OLD(pthread_setspecific, 2.2.5);
OLD(pthread_sigmask, 2.2.5);
OLD(sem_destroy, 2.2.5);
OLD(sem_init, 2.2.5);
OLD(sem_post, 2.2.5);
OLD(sem_wait, 2.2.5);
OLD(shm_open, 2.2.5);
OLD(shm_unlink, 2.2.5);
#undef OLD
#endif
