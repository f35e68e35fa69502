/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program's verbs. Each takes its arguments, with the verb as argv[0], and returns the exit
 * status.
 */
#ifndef VMAFS_VERBS_H
#define VMAFS_VERBS_H

int verb_mount(int argc, char **argv);
int verb_info(int argc, char **argv);
int verb_map(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_index(int argc, char **argv);
int verb_extract(int argc, char **argv);
int verb_cache(int argc, char **argv);

#endif
