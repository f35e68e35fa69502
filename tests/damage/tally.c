/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/damage/tally.h"

#include <inttypes.h>

/* The worst that was wrong in any way; JUDGE_CLASSES: nothing was. */
static int worst_class(const struct outcome_of *out)
{
        int worst = -1;

        for (int way = 0; way < TRIAL_WAYS; way++) {
                if (verdict_is_silent(&out->ways[way]))
                        worst = JUDGE_SILENT;
                for (int class = 0; class < JUDGE_CLASSES; class ++)
                        if (out->ways[way].wrong[class] && class > worst)
                                worst = class;
        }
        return worst < 0 ? JUDGE_CLASSES : worst;
}

void tally_add(struct tally *t, const struct trial *trial, const struct outcome_of *out)
{
        const struct verdict *fresh = &out->ways[TRIAL_FRESH];
        int worst = worst_class(out);
        bool right = verdict_is_right(fresh);
        char text[300];

        t->files++;
        if (worst < JUDGE_CLASSES)
                t->wrong[worst]++;
        else if (right)
                t->unharmed++;
        else
                t->failed++;
        t->objections += trial_objects(trial, out, text, sizeof text);
        t->sectors_right += fresh->right;
        t->sectors_failed += fresh->errors;
        for (int class = 0; class < JUDGE_CLASSES; class ++)
                t->sectors_wrong += fresh->wrong[class];
        if (out->verify != TRIAL_SOUND)
                return;
        if (right)
                t->verified_sound++;
        else if (trial_must_be_seen(trial, fresh))
                t->verified_falsely++;
        else
                t->verified_named++;
}

void tally_sum(struct tally *to, const struct tally *from)
{
        uint64_t *a = (uint64_t *)to;
        const uint64_t *b = (const uint64_t *)from;

        for (size_t i = 0; i < sizeof *to / sizeof *a; i++)
                a[i] += b[i];
}

void tally_log(FILE *out, const char *what, const struct tally *t)
{
        uint64_t named = 0;

        for (int i = 0; i < JUDGE_SILENT; i++)
                named += t->wrong[i];
        fprintf(out,
                "damaged at random: %s|%" PRIu64 "|%" PRIu64 " unharmed, %" PRIu64 " with errors, ",
                what, t->files, t->unharmed, t->failed);
        if (named)
                fprintf(out, "%" PRIu64 " wrong where no checksum is, ", named);
        fprintf(out, "%" PRIu64 " wrong, %" PRIu64 " falsely called sound\n",
                t->wrong[JUDGE_SILENT], t->verified_falsely);
}

void tally_print_head(FILE *out)
{
        static const char *const classes[JUDGE_CLASSES] = {"data",  "moved", "end",  "coded",
                                                           "table", "late",  "WRONG"};

        fprintf(out, "%-24s %6s %6s %6s |", "", "files", "right", "errors");
        for (int i = 0; i < JUDGE_CLASSES; i++)
                fprintf(out, " %5s", classes[i]);
        fprintf(out, " | %6s %6s %6s | read\n", "sound", "named", "FALSE");
}

void tally_print(FILE *out, const char *what, const struct tally *t)
{
        uint64_t all = t->sectors_right + t->sectors_failed + t->sectors_wrong;

        fprintf(out, "%-24s %6" PRIu64 " %6" PRIu64 " %6" PRIu64 " |", what, t->files, t->unharmed,
                t->failed);
        for (int i = 0; i < JUDGE_CLASSES; i++)
                fprintf(out, " %5" PRIu64, t->wrong[i]);
        fprintf(out, " | %6" PRIu64 " %6" PRIu64 " %6" PRIu64 " | %3.0f%%\n", t->verified_sound,
                t->verified_named, t->verified_falsely,
                100.0 * (double)t->sectors_right / (double)(all ? all : 1));
}
