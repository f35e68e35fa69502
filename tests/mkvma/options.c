/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/mkvma/job.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "tests/fixtures/vma_writer.h"

static const char usage_text[] =
    "usage: mkvma -o OUT.vma [option]...\n"
    "Writes a VMA archive. Every cluster of every device is in it, blocks that are all zero are\n"
    "left out, and the same options give the same bytes.\n"
    "\n"
    "what is in it:\n"
    "  --config NAME=FILE          a configuration file\n"
    "  --device NAME=RAWFILE[@ID]  a device; ID 1 to 255, else the lowest that is free\n"
    "  --vmstate FILE[@ID]         the RAM state: clusters 0, 1, 2 ... in any --order\n"
    "  --vmstate-size=SIZE         what the header says of its size (the file's)\n"
    "  --synthetic SIZE            a device drive-scsi0 whose stored blocks are holes of OUT.vma\n"
    "  --pattern=dense|ragged      its masks: all blocks (default), or random ones\n"
    "how it is written:\n"
    "  --order=seq|reverse|interleave|shuffle|live|busy\n"
    "                              of clusters; device by device by default\n"
    "  --seed=N                    for shuffle, live, busy and ragged (1)\n"
    "  --slots=N                   per extent, 1 to 59 (58)\n"
    "  --uuid=HEX --ctime=SECONDS  identity and time of the backup\n"
    "  --header-size=SIZE          with padding, need not be a multiple of 512\n"
    "what is wrong with it (may be repeated; DEV is a name or an id):\n"
    "  --drop DEV:CLUSTER          leave the cluster out\n"
    "  --duplicate DEV:CLUSTER     write it again at the end\n"
    "  --beyond DEV:CLUSTER        write a cluster after the device's end, with data\n"
    "  --damage-extent N:WHAT      WHAT: magic, uuid, md5, reserved, count+1, count-1;\n"
    "                              N counts from 0\n"
    "  --truncate=BYTES            cut the archive there\n"
    "SIZE and BYTES take K, M, G or T.\n"
    "Exit status: 0 written, 1 failed, 2 wrong usage.\n";

void die(int status, const char *fmt, ...)
{
        va_list ap;

        fputs("mkvma: ", stderr);
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fputs(status == 2 ? "; see mkvma --help\n" : "\n", stderr);
        exit(status);
}

static uint64_t parse_number(const char *text, const char *what)
{
        unsigned long long n;
        char *end;

        errno = 0;
        n = strtoull(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || *end || errno)
                die(2, "%s: '%s' is not a number", what, text);
        return n;
}

static uint64_t parse_size(const char *text, const char *what)
{
        static const char units[] = "KMGT";
        char digits[32] = "";
        size_t len = strlen(text);
        const char *unit = len ? strchr(units, text[len - 1]) : NULL;
        uint64_t n;

        if (!unit)
                return parse_number(text, what);
        if (len >= sizeof digits)
                die(2, "%s: '%s' is not a size", what, text);
        memcpy(digits, text, len - 1);
        if (!checked_mul(parse_number(digits, what),
                         UINT64_C(1) << 10 * (unsigned)(unit - units + 1), &n))
                die(2, "%s: '%s' is too large", what, text);
        return n;
}

static uint64_t parse_range(const char *text, uint64_t low, uint64_t high, const char *what)
{
        uint64_t n = parse_number(text, what);

        if (n < low || n > high)
                die(2, "%s: %" PRIu64 " is not within %" PRIu64 " to %" PRIu64, what, n, low, high);
        return n;
}

static void parse_uuid(const char *text, uint8_t out[16])
{
        size_t nibbles = 0;

        memset(out, 0, 16);
        for (const char *p = text; *p; p++) {
                char digit[2] = {*p, 0};

                if (*p == '-')
                        continue;
                if (!isxdigit((unsigned char)*p) || nibbles == 32)
                        die(2, "--uuid: '%s' is not 32 hexadecimal digits", text);
                out[nibbles / 2] =
                    (uint8_t)((unsigned)out[nibbles / 2] << 4 | strtoul(digit, NULL, 16));
                nibbles++;
        }
        if (nibbles != 32)
                die(2, "--uuid: '%s' is not 32 hexadecimal digits", text);
}

static enum order parse_order(const char *text)
{
        static const char *const names[] = {
            [ORDER_SEQ] = "seq",
            [ORDER_REVERSE] = "reverse",
            [ORDER_INTERLEAVE] = "interleave",
            [ORDER_SHUFFLE] = "shuffle",
            [ORDER_LIVE] = "live",
            [ORDER_BUSY] = "busy",
        };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(text, names[i]) == 0)
                        return (enum order)i;
        die(2, "--order: '%s' is not seq, reverse, interleave, shuffle, live or busy", text);
}

static bool parse_ragged(const char *text)
{
        if (strcmp(text, "dense") != 0 && strcmp(text, "ragged") != 0)
                die(2, "--pattern: '%s' is neither dense nor ragged", text);
        return strcmp(text, "ragged") == 0;
}

static void parse_place(const char *text, const char *what, struct list *out)
{
        const char *colon = strrchr(text, ':');
        struct place *p = &out->places[out->count];

        if (out->count == LIST_MAX)
                die(2, "%s: more than %u times", what, LIST_MAX);
        if (!colon || (size_t)(colon - text) >= sizeof p->dev)
                die(2, "%s: '%s' is not DEV:CLUSTER", what, text);
        memcpy(p->dev, text, (size_t)(colon - text));
        p->cluster = (uint32_t)parse_range(colon + 1, 0, UINT32_MAX, what);
        out->count++;
}

static void parse_damage(const char *text, struct job *job)
{
        static const struct {
                const char *name;
                unsigned what;
        } kinds[] = {
            {"magic", VMA_WRONG_MAGIC},
            {"uuid", VMA_WRONG_UUID},
            {"md5", VMA_WRONG_MD5},
            {"reserved", VMA_WRONG_RESERVED},
            {"count+1", VMA_WRONG_COUNT_MORE},
            {"count-1", VMA_WRONG_COUNT_LESS},
        };
        struct damage *d = &job->damages[job->damage_count];
        char *end;

        if (job->damage_count == LIST_MAX)
                die(2, "--damage-extent: more than %u times", LIST_MAX);
        d->extent = strtoull(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || *end != ':')
                die(2, "--damage-extent: '%s' is not N:WHAT", text);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                if (strcmp(end + 1, kinds[i].name) == 0)
                        d->what = kinds[i].what;
        if (!d->what)
                die(2, "--damage-extent: '%s' is no kind of damage", end + 1);
        job->damage_count++;
}

static void parse_config(char *text, struct job *job)
{
        char *equals = strchr(text, '=');

        if (!equals)
                die(2, "--config: '%s' is not NAME=FILE", text);
        if (job->config_count == 256)
                die(2, "--config: more than 256 times");
        *equals = 0;
        job->configs[job->config_count++] = (struct config){.name = text, .path = equals + 1};
}

static bool id_taken(const struct job *job, unsigned id)
{
        for (size_t i = 0; i < job->device_count; i++)
                if (job->devices[i].id == id)
                        return true;
        return false;
}

/* The ID of "PATH@ID", which is cut off, or 0 where there is none. */
static unsigned cut_id(char *text)
{
        char *at = strrchr(text, '@');

        if (!at || !isdigit((unsigned char)at[1]) || at[1 + strspn(at + 1, "0123456789")])
                return 0;
        *at = 0;
        return (unsigned)parse_range(at + 1, 1, 255, "the device's id");
}

static struct device *add_device(struct job *job, const char *name, unsigned id)
{
        struct device *d = &job->devices[job->device_count];

        if (job->device_count == DEVICE_MAX)
                die(2, "more than %u devices", DEVICE_MAX);
        if (id && id_taken(job, id))
                die(2, "two devices have the id %u", id);
        for (unsigned free_id = 1; !id; free_id++)
                if (!id_taken(job, free_id))
                        id = free_id;
        *d = (struct device){.id = (uint8_t)id, .name = name, .fd = -1};
        job->device_count++;
        return d;
}

static void set_bits(uint8_t *bits, uint64_t from, uint64_t to)
{
        for (uint64_t i = from; i < to; i++)
                bits[i / 8] |= (uint8_t)(1u << i % 8);
}

/* Note which clusters of the raw file are not holes: huge sparse files are read quickly so. */
static void find_occupied(struct device *d, const char *path)
{
        off_t data = 0;
        off_t hole = 0;

        d->occupied = calloc(1, d->size / VMA_CLUSTER / 8 + 1);
        if (!d->occupied)
                die(1, "out of memory");
        while ((data = lseek(d->fd, hole, SEEK_DATA)) >= 0) {
                hole = lseek(d->fd, data, SEEK_HOLE);
                if (hole < 0)
                        die(1, "%s: %s", path, strerror(errno));
                set_bits(d->occupied, (uint64_t)data / VMA_CLUSTER,
                         round_up((uint64_t)hole, VMA_CLUSTER) / VMA_CLUSTER);
        }
        if (errno != ENXIO)
                die(1, "%s: %s", path, strerror(errno));
}

static void add_raw(struct job *job, const char *name, char *path, bool in_sequence)
{
        unsigned id = cut_id(path);
        struct device *d = add_device(job, name, id);
        struct stat st;

        d->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (d->fd < 0 || fstat(d->fd, &st) < 0)
                die(1, "%s: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode))
                die(1, "%s: is not a regular file", path);
        d->size = round_up((uint64_t)st.st_size, 512);
        d->declared = d->size;
        d->in_sequence = in_sequence;
        find_occupied(d, path);
}

static void parse_device(char *text, struct job *job)
{
        char *equals = strchr(text, '=');

        if (!equals)
                die(2, "--device: '%s' is not NAME=RAWFILE[@ID]", text);
        *equals = 0;
        add_raw(job, text, equals + 1, false);
}

static void add_synthetic(struct job *job, const char *text)
{
        struct device *d = add_device(job, "drive-scsi0", 0);

        d->size = parse_size(text, "--synthetic");
        if (d->size % 512)
                die(2, "--synthetic: the size is not a multiple of 512");
        d->declared = d->size;
}

enum {
        OPT_CONFIG = 256,
        OPT_DEVICE,
        OPT_VMSTATE,
        OPT_VMSTATE_SIZE,
        OPT_SYNTHETIC,
        OPT_PATTERN,
        OPT_ORDER,
        OPT_SEED,
        OPT_SLOTS,
        OPT_UUID,
        OPT_CTIME,
        OPT_HEADER_SIZE,
        OPT_DROP,
        OPT_DUPLICATE,
        OPT_BEYOND,
        OPT_DAMAGE,
        OPT_TRUNCATE,
};

static const struct option options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"vmstate", required_argument, NULL, OPT_VMSTATE},
    {"vmstate-size", required_argument, NULL, OPT_VMSTATE_SIZE},
    {"synthetic", required_argument, NULL, OPT_SYNTHETIC},
    {"pattern", required_argument, NULL, OPT_PATTERN},
    {"order", required_argument, NULL, OPT_ORDER},
    {"seed", required_argument, NULL, OPT_SEED},
    {"slots", required_argument, NULL, OPT_SLOTS},
    {"uuid", required_argument, NULL, OPT_UUID},
    {"ctime", required_argument, NULL, OPT_CTIME},
    {"header-size", required_argument, NULL, OPT_HEADER_SIZE},
    {"drop", required_argument, NULL, OPT_DROP},
    {"duplicate", required_argument, NULL, OPT_DUPLICATE},
    {"beyond", required_argument, NULL, OPT_BEYOND},
    {"damage-extent", required_argument, NULL, OPT_DAMAGE},
    {"truncate", required_argument, NULL, OPT_TRUNCATE},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void parse_option(struct job *job, int c)
{
        switch (c) {
        case 'o':
                job->out = optarg;
                break;
        case 'h':
                fputs(usage_text, stdout);
                exit(0);
        case OPT_CONFIG:
                parse_config(optarg, job);
                break;
        case OPT_DEVICE:
                parse_device(optarg, job);
                break;
        case OPT_VMSTATE:
                add_raw(job, "vmstate", optarg, true);
                break;
        case OPT_VMSTATE_SIZE:
                job->vmstate_size = parse_size(optarg, "--vmstate-size");
                break;
        case OPT_SYNTHETIC:
                add_synthetic(job, optarg);
                break;
        case OPT_PATTERN:
                job->ragged = parse_ragged(optarg);
                break;
        case OPT_ORDER:
                job->order = parse_order(optarg);
                break;
        case OPT_SEED:
                job->seed = parse_number(optarg, "--seed");
                break;
        case OPT_SLOTS:
                job->slots = (unsigned)parse_range(optarg, 1, VMA_SLOTS, "--slots");
                break;
        case OPT_UUID:
                parse_uuid(optarg, job->uuid);
                break;
        case OPT_CTIME:
                job->ctime = (int64_t)parse_range(optarg, 0, INT64_MAX, "--ctime");
                break;
        case OPT_HEADER_SIZE:
                job->header_size = (uint32_t)min_u64(parse_size(optarg, "--header-size"), 1 << 30);
                break;
        case OPT_DROP:
                parse_place(optarg, "--drop", &job->drops);
                break;
        case OPT_DUPLICATE:
                parse_place(optarg, "--duplicate", &job->duplicates);
                break;
        case OPT_BEYOND:
                parse_place(optarg, "--beyond", &job->beyonds);
                break;
        case OPT_DAMAGE:
                parse_damage(optarg, job);
                break;
        case OPT_TRUNCATE:
                job->truncate_to = parse_size(optarg, "--truncate");
                job->truncated = true;
                break;
        default:
                fputs(usage_text, stderr);
                exit(2);
        }
}

void parse_command_line(int argc, char **argv, struct job *job)
{
        int c;

        *job = (struct job){
            .uuid = "mkvma's archives",
            .ctime = 1700000000,
            .slots = VMA_SLOTS_GENUINE,
            .seed = 1,
        };
        while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1)
                parse_option(job, c);
        if (!job->out)
                die(2, "-o OUT.vma is missing");
        if (optind < argc)
                die(2, "'%s' is left over", argv[optind]);
        for (size_t i = 0; i < job->device_count; i++)
                if (job->devices[i].in_sequence && job->vmstate_size)
                        job->devices[i].declared = job->vmstate_size;
}
