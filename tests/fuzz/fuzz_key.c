/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a key file, whose password is "secret". */
#include <ctype.h>

#include "archive/store/pbs/pbs_blob.h"
#include "archive/store/pbs/pbs_key.h"
#include "tests/fuzz/fuzz.h"

/* Numbers of more digits take their time, or are refused, which a unit test shows. */
enum { DIGITS_MAX = 3 };

static bool is_slow(const uint8_t *data, size_t size)
{
        size_t run = 0;

        for (size_t i = 0; i < size; i++) {
                run = isdigit(data[i]) ? run + 1 : 0;
                /* 1e9 is a real number, which no parameter may be. */
                if (run > DIGITS_MAX)
                        return true;
        }
        return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *password = is_slow(data, size) ? NULL : "secret";
        char fingerprint[PBS_FINGERPRINT_TEXT];
        uint8_t digest[PBS_DIGEST_LEN], plain[64];
        struct pbs_key *key;

        if (pbs_key_parse((const char *)data, size, password, &key, NULL) < 0)
                return 0;
        pbs_key_fingerprint(key, fingerprint);
        fuzz_require(fingerprint[PBS_FINGERPRINT_TEXT - 1] == '\0');
        fuzz_require(pbs_chunk_digest(key, data, size, digest) == 0);
        /* Nobody has encrypted this. */
        fuzz_require(
            pbs_key_decrypt(key, digest, digest + PBS_IV_LEN, digest, sizeof digest, plain) < 0);
        pbs_key_free(key);
        return 0;
}
