/* Signatures as they are written, and as they are understood: the rows of spec/signature.def. */
#ifndef CN_API_SIGNATURE_H
#define CN_API_SIGNATURE_H

#include "api/internal.h"

/* Parameters of C and of WebAssembly at most. */
#define CN_SIGN_MAX 32
/* Bytes of a string that is copied at most. */
#define CN_SIGN_STRING_MAX (1u << 20)

enum cn_sign_word {
    CN_SIGN_NONE, /* void */
#define NUMBER(name, ...) CN_SIGN_##name,
#define PLACE(name, ...) CN_SIGN_##name,
#define LETTER(...)
#include "spec/signature.def"
#undef NUMBER
#undef PLACE
#undef LETTER
    CN_SIGN_V128, /* for cordon_bind_raw alone: C has no type for it */
    CN_SIGN_WORDS
};

/* One parameter as it is written. */
struct cn_sign_part {
    enum cn_sign_word word;
    bool is_pointer; /* `*word` */
    uint32_t size;   /* ptr<N>: N; the bytes of what `*word` points at */
    const struct cn_sign *inner; /* fn<...>: of that function */
};

struct cn_sign {
    const struct cn_functype *type; /* of the guest's function */
    enum cn_sign_word result;
    uint32_t count;
    struct cn_sign_part parts[CN_SIGN_MAX];
};

/* Parses one, its type into the arena; false with CORDON_MISUSE. */
bool cn_sign_parse(struct cn_arena *arena, const char *text, struct cn_sign *sign,
                   cordon_error_t *error);

/* Whether a guest's function can be called from C with it. */
bool cn_sign_is_outward(const struct cn_sign *sign);
/* Bytes of a number. */
uint32_t cn_sign_slot_size(enum cn_sign_word word);

/* Whether a word is a number's; its type in WebAssembly. */
bool cn_sign_is_number(enum cn_sign_word word);
cn_valtype cn_sign_valtype(enum cn_sign_word word);
const char *cn_sign_name(enum cn_sign_word word);
/* How many of the guest's parameters a word stands for. */
uint32_t cn_sign_slots(enum cn_sign_word word);

#endif
