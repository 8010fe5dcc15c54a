/* wasm.h: vectors, types, and what modules say of themselves. */
#include <string.h>

#include "tests/unit/wasm_c_fixture.h"

Test(vec, bytes)
{
    wasm_byte_vec_t bytes, copy;

    wasm_byte_vec_new(&bytes, 3, "abc");
    wasm_byte_vec_copy(&copy, &bytes);
    bytes.data[0] = 'x';
    cr_assert_eq(copy.size, 3);
    cr_assert_arr_eq(copy.data, "abc", 3);
    wasm_byte_vec_delete(&bytes);
    cr_assert_eq(bytes.size, 0);
    cr_assert_null(bytes.data);
    wasm_byte_vec_delete(&bytes);
    wasm_byte_vec_delete(NULL);
    wasm_byte_vec_delete(&copy);
}

Test(vec, empty_and_uninitialized)
{
    wasm_byte_vec_t bytes;
    wasm_valtype_vec_t types;

    wasm_byte_vec_new_empty(&bytes);
    cr_assert_eq(bytes.size, 0);
    cr_assert_null(bytes.data);
    wasm_byte_vec_new(&bytes, 0, NULL);
    cr_assert_eq(bytes.size, 0);
    wasm_byte_vec_delete(&bytes);
    /* Elements that were never written are no elements. */
    wasm_valtype_vec_new_uninitialized(&types, 5);
    cr_assert_eq(types.size, 5);
    types.data[2] = wasm_valtype_new_i32();
    wasm_valtype_vec_delete(&types);
}

Test(vec, no_room)
{
    wasm_val_vec_t values;

    wasm_val_vec_new_uninitialized(&values, SIZE_MAX);
    cr_assert_eq(values.size, 0);
    cr_assert_null(values.data);
    wasm_val_vec_new_uninitialized(&values, SIZE_MAX / sizeof(wasm_val_t));
    cr_assert_eq(values.size, 0);
}

Test(vec, copies_elements)
{
    wasm_valtype_t *elements[] = {wasm_valtype_new_i32(), wasm_valtype_new_funcref()};
    wasm_valtype_vec_t types, copy;

    wasm_valtype_vec_new(&types, 2, elements);
    wasm_valtype_vec_copy(&copy, &types);
    cr_assert_neq(copy.data[1], types.data[1]);
    wasm_valtype_vec_delete(&types);
    cr_assert_eq(wasm_valtype_kind(copy.data[1]), WASM_FUNCREF);
    /* A smaller size leaves elements to the embedder. */
    wasm_valtype_t *last = copy.data[1];
    copy.size = 1;
    wasm_valtype_vec_delete(&copy);
    wasm_valtype_delete(last);
}

Test(type, values)
{
    const wasm_valkind_t kinds[] = {WASM_I32, WASM_I64, WASM_F32, WASM_F64, WASM_V128,
                                    WASM_EXTERNREF, WASM_FUNCREF, WASM_ANYREF, WASM_EXNREF};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        wasm_valtype_t *type = wasm_valtype_new(kinds[i]), *copy = wasm_valtype_copy(type);
        wasm_valtype_delete(type);
        cr_assert_eq(wasm_valtype_kind(copy), kinds[i]);
        cr_assert_eq(wasm_valtype_is_ref(copy), i >= 5);
        cr_assert_eq(wasm_valtype_is_num(copy), i < 5);
        wasm_valtype_delete(copy);
    }
    cr_assert_null(wasm_valtype_new(77));
    wasm_valtype_delete(NULL);
}

Test(type, functions)
{
    wasm_functype_t *type = wasm_functype_new_3_2(
        wasm_valtype_new_i32(), wasm_valtype_new_i64(), wasm_valtype_new_f32(),
        wasm_valtype_new_f64(), wasm_valtype_new_externref());
    wasm_functype_t *copy = wasm_functype_copy(type);
    wasm_externtype_t *general = wasm_functype_as_externtype(copy);

    wasm_functype_delete(type);
    cr_assert_eq(wasm_functype_params(copy)->size, 3);
    cr_assert_eq(wasm_valtype_kind(wasm_functype_params(copy)->data[2]), WASM_F32);
    cr_assert_eq(wasm_valtype_kind(wasm_functype_results(copy)->data[1]), WASM_EXTERNREF);
    cr_assert_eq(wasm_externtype_kind(general), WASM_EXTERN_FUNC);
    cr_assert_eq(wasm_externtype_as_functype(general), copy);
    cr_assert_null(wasm_externtype_as_globaltype(general));
    cr_assert_null(wasm_externtype_as_tabletype_const(general));
    cr_assert_null(wasm_externtype_as_memorytype(NULL));
    wasm_externtype_delete(general);
}

Test(type, globals_tables_memories)
{
    const wasm_limits_t limits = {3, 7};
    wasm_globaltype_t *global = wasm_globaltype_new(wasm_valtype_new_f64(), WASM_VAR);
    wasm_tabletype_t *table = wasm_tabletype_new(wasm_valtype_new_funcref(), &limits);
    wasm_memorytype_t *memory = wasm_memorytype_new(&limits);
    wasm_externtype_t *copy = wasm_externtype_copy(wasm_tabletype_as_externtype(table));

    cr_assert_eq(wasm_valtype_kind(wasm_globaltype_content(global)), WASM_F64);
    cr_assert_eq(wasm_globaltype_mutability(global), WASM_VAR);
    wasm_tabletype_delete(table);
    table = wasm_externtype_as_tabletype(copy);
    cr_assert_eq(wasm_valtype_kind(wasm_tabletype_element(table)), WASM_FUNCREF);
    cr_assert_eq(wasm_tabletype_limits(table)->max, 7);
    cr_assert_eq(wasm_memorytype_limits(memory)->min, 3);
    wasm_globaltype_delete(global);
    wasm_externtype_delete(copy);
    wasm_memorytype_delete(memory);
    cr_assert_null(wasm_globaltype_new(NULL, WASM_CONST));
    cr_assert_null(wasm_tabletype_new(NULL, &limits));
}

Test(type, imports_and_exports)
{
    wasm_name_t module, name;

    wasm_name_new_from_string(&module, "env");
    wasm_name_new_from_string_nt(&name, "f");
    wasm_importtype_t *import = wasm_importtype_new(
        &module, &name, wasm_functype_as_externtype(wasm_functype_new_0_0()));
    cr_assert_null(module.data);
    cr_assert_null(name.data);
    wasm_importtype_t *copy = wasm_importtype_copy(import);
    wasm_importtype_delete(import);
    cr_assert_eq(wasm_importtype_module(copy)->size, 3);
    cr_assert_str_eq(wasm_importtype_name(copy)->data, "f");
    cr_assert_eq(wasm_externtype_kind(wasm_importtype_type(copy)), WASM_EXTERN_FUNC);
    wasm_importtype_delete(copy);
    /* What was to be taken is taken, also when that fails. */
    wasm_name_new_from_string(&name, "g");
    cr_assert_null(wasm_exporttype_new(&name, NULL));
    cr_assert_null(name.data);
}

static const char many[] =
    "(module (import \"a\" \"f\" (func (param i32 externref) (result f64 v128)))"
    " (import \"b\" \"\" (global (mut i64)))"
    " (import \"c\" \"m\" (memory i64 2 9))"
    " (import \"d\" \"e\" (tag (param i32)))"
    " (table (export \"t\") 3 5 funcref) (memory (export \"n\") 1)"
    " (global (export \"g\") anyref (ref.null any)) (export \"f\" (func 0))"
    " (tag (export \"x\")) (global (export \"e\") exnref (ref.null exn)))";

static const wasm_externtype_t *import_type(const wasm_importtype_vec_t *imports, size_t i)
{
    return wasm_importtype_type(imports->data[i]);
}

Test(module, imports)
{
    struct world world;
    wasm_importtype_vec_t imports;

    open_world(&world);
    world.module = module_of(world.store, many);
    wasm_module_imports(world.module, &imports);
    cr_assert_eq(imports.size, 4);
    const wasm_functype_t *func = wasm_externtype_as_functype_const(import_type(&imports, 0));
    cr_assert_eq(wasm_valtype_kind(wasm_functype_params(func)->data[1]), WASM_EXTERNREF);
    cr_assert_eq(wasm_valtype_kind(wasm_functype_results(func)->data[1]), WASM_V128);
    const wasm_globaltype_t *global =
        wasm_externtype_as_globaltype_const(import_type(&imports, 1));
    cr_assert_eq(wasm_globaltype_mutability(global), WASM_VAR);
    cr_assert_eq(wasm_importtype_name(imports.data[1])->size, 0);
    const wasm_memorytype_t *memory =
        wasm_externtype_as_memorytype_const(import_type(&imports, 2));
    cr_assert_eq(wasm_memorytype_limits(memory)->max, 9);
    cr_assert_eq(wasm_externtype_kind(import_type(&imports, 3)), WASM_EXTERN_TAG);
    wasm_importtype_vec_delete(&imports);
    close_world(&world);
}

Test(module, exports)
{
    const wasm_externkind_t kinds[] = {WASM_EXTERN_TABLE, WASM_EXTERN_MEMORY, WASM_EXTERN_GLOBAL,
                                       WASM_EXTERN_FUNC, WASM_EXTERN_TAG, WASM_EXTERN_GLOBAL};
    struct world world;
    wasm_exporttype_vec_t exports, copy;

    open_world(&world);
    world.module = module_of(world.store, many);
    wasm_module_exports(world.module, &exports);
    wasm_exporttype_vec_copy(&copy, &exports);
    wasm_exporttype_vec_delete(&exports);
    cr_assert_eq(copy.size, 6);
    for (size_t i = 0; i < copy.size; i++)
        cr_assert_eq(wasm_externtype_kind(wasm_exporttype_type(copy.data[i])), kinds[i]);
    cr_assert_eq(wasm_exporttype_name(copy.data[0])->data[0], 't');
    const wasm_memorytype_t *memory =
        wasm_externtype_as_memorytype_const(wasm_exporttype_type(copy.data[1]));
    cr_assert_eq(wasm_memorytype_limits(memory)->max, wasm_limits_max_default);
    wasm_exporttype_vec_delete(&copy);
    close_world(&world);
}

Test(module, is_refused)
{
    static char bad[] = "\0asm\1\0\0\0\1", text[] = "(module)", nothing[] = "";
    wasm_byte_vec_t given[] = {
        {sizeof bad - 1, bad}, {sizeof text - 1, text}, {4, bad}, {0, nothing}, {0, NULL}};
    struct world world;

    open_world(&world);
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        cr_assert_not(wasm_module_validate(world.store, &given[i]));
        cr_assert_null(wasm_module_new(world.store, &given[i]));
        cr_assert_null(wasm_module_deserialize(world.store, &given[i]));
    }
    close_world(&world);
}

Test(module, is_serialized)
{
    struct world world;
    wasm_byte_vec_t binary, bytes;
    wasm_exporttype_vec_t exports;

    open_world(&world);
    assemble(many, &binary);
    cr_assert(wasm_module_validate(world.store, &binary));
    world.module = wasm_module_new(world.store, &binary);
    memset(binary.data, 0, binary.size); /* the module has its own copy */
    wasm_byte_vec_delete(&binary);
    wasm_module_serialize(world.module, &bytes);
    wasm_module_delete(world.module);
    world.module = wasm_module_deserialize(world.store, &bytes);
    cr_assert_not_null(world.module);
    wasm_byte_vec_delete(&bytes);
    wasm_module_exports(world.module, &exports);
    cr_assert_eq(exports.size, 6);
    wasm_exporttype_vec_delete(&exports);
    close_world(&world);
}
