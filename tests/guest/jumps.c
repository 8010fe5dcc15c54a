/* setjmp and longjmp as ISO C 7.13 says: each check that fails is a line, and the exit code says
 * how many did. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void expect(int is_true, const char *what)
{
    if (!is_true) {
        printf("failed: %s\n", what);
        failures++;
    }
}

static jmp_buf outer, inner, table[8];
static int (*volatile no_inline)(int);

static void jump(jmp_buf env, int value)
{
    longjmp(env, value);
}

static int throws_deep(int depth)
{
    if (depth == 0)
        jump(outer, 42);
    return no_inline(depth - 1) + 1;
}

static void values(void)
{
    volatile int times = 0;
    int value = setjmp(outer);
    if (times++ == 0)
        jump(outer, 0);
    expect(value == 1, "0 becomes 1");
    times = 0;
    value = setjmp(outer);
    if (times++ == 0)
        jump(outer, -7);
    expect(value == -7, "negative values come through");
}

static void deep(void)
{
    no_inline = throws_deep;
    volatile int before = 5;
    switch (setjmp(outer)) {
    case 0:
        before = 6;
        throws_deep(5000);
        expect(0, "deep: not reached");
        break;
    case 42:
        expect(before == 6, "volatile variables keep their values");
        break;
    default:
        expect(0, "deep: another value");
    }
}

static void nested(void)
{
    volatile int path = 0;
    if (setjmp(outer) == 0) {
        if (setjmp(inner) == 0)
            jump(inner, 1);
        path += 1;
        jump(outer, 1); /* past the inner one, in the same function */
    } else {
        path += 10;
    }
    expect(path == 11, "two buffers of one function");
}

static void rethrow(void)
{
    if (setjmp(inner) == 0)
        jump(outer, 3); /* through this function, which is not meant */
    expect(0, "rethrow: the wrong buffer");
}

static void through(void)
{
    int value = setjmp(outer);
    if (value == 0)
        rethrow();
    expect(value == 3, "past a function with a setjmp of its own");
}

static int recursive(int depth)
{
    jmp_buf own;
    int value = setjmp(own);
    if (value != 0)
        return value == depth + 1 ? depth : -1;
    if (depth > 0 && recursive(depth - 1) != depth - 1)
        return -1;
    jump(own, depth + 1); /* the same call of setjmp, in this invocation of the function */
    return -1;
}

static void loops(void)
{
    volatile int sum = 0;
    for (volatile int i = 0; i < 1000; i++) {
        if (setjmp(table[i % 8]) == 0)
            jump(table[i % 8], i + 1);
        else
            sum += i;
    }
    expect(sum == 499500, "a thousand times in a loop");
    volatile int again = 0;
    if (setjmp(outer) < 1000)
        jump(outer, ++again);
    expect(again == 1000, "back to one setjmp a thousand times");
}

static int compare(const void *left, const void *right)
{
    static int calls;
    if (++calls == 5)
        longjmp(outer, 9);
    return *(const int *)left - *(const int *)right;
}

static void through_libc(void)
{
    int numbers[] = {5, 4, 3, 2, 1, 9, 8, 7};
    int value = setjmp(outer);
    if (value == 0)
        qsort(numbers, 8, sizeof numbers[0], compare);
    expect(value == 9, "out of a callback of libc's");
}

static void signals(void)
{
    sigjmp_buf env;
    volatile int times = 0;
    if (sigsetjmp(env, 1) == 0) {
        times++;
        siglongjmp(env, 1);
    }
    expect(times == 1, "sigsetjmp");
}

int main(int argc, char **argv)
{
    values();
    deep();
    nested();
    through();
    expect(recursive(200) == 200, "one buffer per invocation");
    loops();
    through_libc();
    signals();
    if (argc > 1 && strcmp(argv[1], "stale") == 0)
        longjmp(inner, 1); /* its function is gone */
    printf("%d failed\n", failures);
    return failures;
}
