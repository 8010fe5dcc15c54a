/* VMs made through cordon.h, from modules written as bytes. */
#ifndef CN_TESTS_API_FIXTURE_H
#define CN_TESTS_API_FIXTURE_H

#include "include/cordon.h"
#include "tests/unit/wasm_fixture.h"

struct api {
    cordon_host_t *host;
    cordon_module_t *module;
    cordon_linker_t *linker;
    cordon_config_t *config;
    cordon_vm_t *vm;
    cordon_error_t error;
    cordon_result_t result;
};

/* Everything but the VM. */
static inline void api_open(struct api *api, struct cn_bytes module)
{
    memset(api, 0, sizeof *api);
    api->host = cordon_host_new(&api->error);
    api->module = cordon_module_load(api->host, module.at, module.size, &api->error);
    cr_assert_not_null(api->module, "%s", api->error.message);
    api->linker = cordon_linker_new(api->host, &api->error);
    api->config = cordon_config_new(&api->error);
}

static inline bool api_try(struct api *api)
{
    api->vm = cordon_vm_new(api->host, api->module, api->linker, api->config, &api->error);
    return api->vm != NULL;
}

static inline void api_start(struct api *api)
{
    cr_assert(api_try(api), "%s", api->error.message);
}

static inline void api_close(struct api *api)
{
    cordon_vm_free(api->vm);
    cordon_config_free(api->config);
    cordon_linker_free(api->linker);
    cordon_module_free(api->module);
    cordon_host_free(api->host);
}

#endif
