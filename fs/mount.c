#include "fs/verbs.h"
int verb_mount(int argc, char **argv)
{
        (void)argc;
        (void)argv;
        return 2;
}
