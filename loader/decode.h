/* The loader's inside: what is known while a module is being read, and one function per
 * section. Shared by the files that decode; validate.h is the part that types code. */
#ifndef CN_LOADER_DECODE_H
#define CN_LOADER_DECODE_H

#include "core/error.h"
#include "core/module.h"
#include "loader/reader.h"
#include "loader/validate.h"

struct cn_loading {
    struct cn_module *module; /* grows section by section */
    struct cn_allocator allocator; /* for what lasts only while loading */
    struct cn_error *error;
    struct cn_validator *validator;
    uint32_t body_count;      /* functions that have got a body */
    uint32_t declared_datas;  /* what the data count section says */
    bool has_data_count;
    struct cn_bytes names;    /* the name section's content, empty when there is none */
};

/* Reads header and sections of module->file; code is left to cn_validate. */
CN_CHECKED enum cn_status cn_decode(struct cn_loading *loading);

/* Memory for a module's parts; on failure the error says so. */
CN_CHECKED enum cn_status cn_take_array(struct cn_loading *loading, size_t count, size_t size,
                                        void *result);
enum cn_status cn_fail_memory(struct cn_error *error);

/* ---------------------------------------------------------------- section_types.c */

CN_CHECKED enum cn_status cn_decode_types(struct cn_loading *loading, struct cn_reader *reader);
CN_CHECKED enum cn_status cn_decode_tables(struct cn_loading *loading, struct cn_reader *reader);
CN_CHECKED enum cn_status cn_decode_memories(struct cn_loading *loading,
                                             struct cn_reader *reader);
CN_CHECKED enum cn_status cn_decode_tags(struct cn_loading *loading, struct cn_reader *reader);

/* Reads the index of a function type and checks it. */
CN_CHECKED enum cn_status cn_read_type_index(const struct cn_loading *loading,
                                             struct cn_reader *reader, uint32_t *index);
CN_CHECKED enum cn_status cn_read_table_type(const struct cn_module *module,
                                             struct cn_reader *reader,
                                             struct cn_table_type *type);
CN_CHECKED enum cn_status cn_read_memory_type(struct cn_reader *reader,
                                              struct cn_memory_type *type);
CN_CHECKED enum cn_status cn_read_global_type(const struct cn_module *module,
                                              struct cn_reader *reader,
                                              struct cn_global_type *type);
/* Reads what follows "tag": an attribute and the index of its type. */
CN_CHECKED enum cn_status cn_read_tag(const struct cn_loading *loading,
                                      struct cn_reader *reader, uint32_t *type);

/* ---------------------------------------------------------------- valtype.c */

/* Types as the module has them so far (core 5.3); numbers become canonical. */
CN_CHECKED enum cn_status cn_read_valtype(const struct cn_module *module,
                                          struct cn_reader *reader, cn_valtype *type);
CN_CHECKED enum cn_status cn_read_reftype(const struct cn_module *module,
                                          struct cn_reader *reader, cn_valtype *type);
/* A heap type, as the reference that may be null or not. */
CN_CHECKED enum cn_status cn_read_heaptype(const struct cn_module *module,
                                           struct cn_reader *reader, bool nullable,
                                           cn_valtype *type);
/* As cn_read_valtype, and the packed types. */
CN_CHECKED enum cn_status cn_read_storage_type(const struct cn_module *module,
                                               struct cn_reader *reader, cn_valtype *type);

/* ---------------------------------------------------------------- type_groups.c */

/* Recursive groups by what they are, to find equal ones. */
struct cn_group_table {
    struct cn_group_slot *slots;
    uint32_t capacity;
    uint32_t count;
};

/* The group of the types [first, type_count) is complete: gives its types canonical numbers and
 * rewrites what refers to them. */
CN_CHECKED enum cn_status cn_close_group(struct cn_loading *loading,
                                         struct cn_group_table *table, uint32_t first);
void cn_group_table_free(struct cn_loading *loading, struct cn_group_table *table);

/* ---------------------------------------------------------------- section_imports.c */

CN_CHECKED enum cn_status cn_decode_imports(struct cn_loading *loading,
                                            struct cn_reader *reader);

/* ---------------------------------------------------------------- section_exports.c */

CN_CHECKED enum cn_status cn_decode_exports(struct cn_loading *loading,
                                            struct cn_reader *reader);
CN_CHECKED enum cn_status cn_decode_start(struct cn_loading *loading, struct cn_reader *reader);

/* ---------------------------------------------------------------- section_code.c */

CN_CHECKED enum cn_status cn_decode_functions(struct cn_loading *loading,
                                              struct cn_reader *reader);
CN_CHECKED enum cn_status cn_decode_code(struct cn_loading *loading, struct cn_reader *reader);

/* ---------------------------------------------------------------- section_data.c */

CN_CHECKED enum cn_status cn_decode_globals(struct cn_loading *loading,
                                            struct cn_reader *reader);
CN_CHECKED enum cn_status cn_decode_elements(struct cn_loading *loading,
                                             struct cn_reader *reader);
CN_CHECKED enum cn_status cn_decode_data_count(struct cn_loading *loading,
                                               struct cn_reader *reader);
CN_CHECKED enum cn_status cn_decode_datas(struct cn_loading *loading, struct cn_reader *reader);

/* ---------------------------------------------------------------- section_names.c */

/* Takes names from the name section, as far as it can be read: what is broken in it is left
 * out. Fails only for want of memory. */
CN_CHECKED enum cn_status cn_decode_names(struct cn_loading *loading);

#endif
