/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/place_fixture.h"

#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/source/source.h"
#include "tests/fixture_sidecar.h"

void folder_make(struct folder *f)
{
        struct bytes data = fixture_noise(FOLDER_ARCHIVE_SIZE, 1);

        *f = (struct folder){0};
        snprintf(f->dir, sizeof f->dir, "%s", "/tmp/vmafs-place-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->archive, sizeof f->archive, "%s/a.vma", f->dir);
        snprintf(f->index, sizeof f->index, "%s/i", f->dir);
        fixture_write(f->archive, data.data, data.len);
        assert_int_equal(source_open_file(f->archive, &f->file, &f->err), 0);
        free(data.data);
}

void folder_remove(struct folder *f)
{
        char command[100];

        place_free(f->p);
        source_close(f->file);
        snprintf(command, sizeof command, "rm -rf --one-file-system %s", f->dir);
        assert_int_equal(system(command), 0);
}

int folder_place(struct folder *f, const char *choice)
{
        place_free(f->p);
        f->p = NULL;
        f->err = (struct error){0};
        return place_new(f->archive, f->file, choice, &f->p, &f->err);
}

int folder_keep(struct folder *f)
{
        static const char content[] = FOLDER_INDEX;
        int fd = place_create(f->p, &f->err);

        if (fd < 0)
                return fd;
        assert_int_equal(pwrite(fd, content, sizeof content, 0), sizeof content);
        return place_commit(f->p, fd, &f->err);
}

int folder_as_user(void (*fn)(struct folder *f), struct folder *f)
{
        pid_t pid;
        int status;

        if (geteuid() == 0)
                assert_int_equal(chown(f->dir, NOBODY, NOBODY), 0);
        pid = fork();
        if (pid == 0) {
                if (geteuid() == 0 &&
                    (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
                        _exit(99);
                fn(f);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void folder_require(bool ok, int line)
{
        if (ok)
                return;
        fprintf(stderr, "line %d: %s\n", line, strerror(errno));
        _exit(1);
}
