/* Runs a JavaScript file with QuickJS:
 *
 *     qjs FILE [argument...]
 *
 * QuickJS's own command wants processes, threads and terminals; this one offers what the
 * engine's test scripts use: print, console.log, std.gc, os.setTimeout, scriptArgs. Ends with 1
 * after an exception, which it prints.
 */
#include "quickjs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMERS_MAX 64

static JSValue timers[TIMERS_MAX];
static int timer_count;

static JSValue print(JSContext *context, JSValueConst self, int count, JSValueConst *values)
{
    (void)self;
    for (int i = 0; i < count; i++) {
        const char *text = JS_ToCString(context, values[i]);
        if (text == NULL)
            return JS_EXCEPTION;
        printf("%s%s", i ? " " : "", text);
        JS_FreeCString(context, text);
    }
    putchar('\n');
    return JS_UNDEFINED;
}

static JSValue collect_garbage(JSContext *context, JSValueConst self, int count,
                               JSValueConst *values)
{
    (void)self, (void)count, (void)values;
    JS_RunGC(JS_GetRuntime(context));
    return JS_UNDEFINED;
}

/* What is to run later runs in order, as if all had the same time. */
static JSValue set_timeout(JSContext *context, JSValueConst self, int count,
                           JSValueConst *values)
{
    (void)self;
    if (count < 1 || timer_count == TIMERS_MAX)
        return JS_ThrowTypeError(context, "no room for a timer");
    timers[timer_count++] = JS_DupValue(context, values[0]);
    return JS_NewInt32(context, timer_count);
}

static void set_function(JSContext *context, JSValueConst object, const char *name,
                         JSCFunction *function)
{
    JS_SetPropertyStr(context, object, name, JS_NewCFunction(context, function, name, 1));
}

static void set_globals(JSContext *context, int count, char **arguments)
{
    JSValue global = JS_GetGlobalObject(context);
    JSValue console = JS_NewObject(context), std = JS_NewObject(context);
    JSValue os = JS_NewObject(context), list = JS_NewArray(context);

    set_function(context, global, "print", print);
    set_function(context, console, "log", print);
    set_function(context, std, "gc", collect_garbage);
    set_function(context, os, "setTimeout", set_timeout);
    JS_SetPropertyStr(context, os, "platform", JS_NewString(context, "wasi"));
    for (int i = 0; i < count; i++)
        JS_SetPropertyUint32(context, list, (uint32_t)i, JS_NewString(context, arguments[i]));
    JS_SetPropertyStr(context, global, "console", console);
    JS_SetPropertyStr(context, global, "std", std);
    JS_SetPropertyStr(context, global, "os", os);
    JS_SetPropertyStr(context, global, "scriptArgs", list);
    JS_FreeValue(context, global);
}

static char *read_file(const char *name, size_t *size)
{
    FILE *file = fopen(name, "rb");
    char *text = NULL;

    if (file == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0) {
        *size = (size_t)ftell(file);
        rewind(file);
        text = malloc(*size + 1);
        if (text != NULL && fread(text, 1, *size, file) == *size)
            text[*size] = '\0';
    }
    fclose(file);
    return text;
}

static int complain(JSContext *context)
{
    JSValue exception = JS_GetException(context);
    JSValue stack = JS_GetPropertyStr(context, exception, "stack");
    const char *text = JS_ToCString(context, exception);
    const char *where = JS_ToCString(context, stack);

    printf("%s\n%s", text ? text : "exception", where ? where : "");
    JS_FreeCString(context, text);
    JS_FreeCString(context, where);
    JS_FreeValue(context, stack);
    JS_FreeValue(context, exception);
    return 1;
}

static int run_jobs(JSContext *context)
{
    JSContext *other;
    int left;

    while ((left = JS_ExecutePendingJob(JS_GetRuntime(context), &other)) > 0)
        ;
    return left < 0 ? complain(other) : 0;
}

static int run_later(JSContext *context)
{
    int failed = run_jobs(context);

    for (int i = 0; i < timer_count && !failed; i++) {
        JSValue result = JS_Call(context, timers[i], JS_UNDEFINED, 0, NULL);
        failed = JS_IsException(result) ? complain(context) : run_jobs(context);
        JS_FreeValue(context, result);
    }
    for (int i = 0; i < timer_count; i++)
        JS_FreeValue(context, timers[i]);
    timer_count = 0;
    return failed;
}

static int run_file(JSContext *context, const char *name)
{
    size_t size;
    char *text = read_file(name, &size);

    if (text == NULL) {
        fprintf(stderr, "qjs: cannot read %s\n", name);
        return 1;
    }
    JSValue result = JS_Eval(context, text, size, name, JS_EVAL_TYPE_GLOBAL);
    int failed = JS_IsException(result) ? complain(context) : run_later(context);
    JS_FreeValue(context, result);
    free(text);
    return failed;
}

int main(int argc, char **argv)
{
    JSRuntime *runtime = JS_NewRuntime();
    JSContext *context = runtime ? JS_NewContext(runtime) : NULL;
    int failed = context == NULL;

    if (!failed)
        set_globals(context, argc - 1, argv + 1);
    if (!failed && argc > 1)
        failed = run_file(context, argv[1]);
    if (context != NULL)
        JS_FreeContext(context);
    if (runtime != NULL)
        JS_FreeRuntime(runtime);
    return failed;
}
