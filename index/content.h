/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the nodes of a tree are. Each struct that is the content of one begins with its kind. */
#ifndef VMAFS_CONTENT_KIND_H
#define VMAFS_CONTENT_KIND_H

enum content_kind { CONTENT_FOLDER, CONTENT_DISK, CONTENT_FILE, CONTENT_PLACE, CONTENT_MEMBER };

#endif
