#include "tests/mutants/fault.h"

static struct {
    enum fault fault;
    uint32_t place;
    uint32_t places;
} armed;

static const char *const names[][2] = {
    {"NONE", "no fault"},
#define FAULT(name, text) {#name, text},
#include "tests/mutants/faults.def"
#undef FAULT
};

const char *fault_name(enum fault fault)
{
    return names[fault][0];
}

const char *fault_text(enum fault fault)
{
    return names[fault][1];
}

void fault_arm(enum fault fault, uint32_t place)
{
    armed.fault = fault;
    armed.place = place;
    armed.places = 0;
}

uint32_t fault_places(void)
{
    return armed.places;
}

bool fault_strikes(enum fault fault)
{
    return fault == armed.fault &&
           (armed.places++ == armed.place || armed.place == FAULT_EVERYWHERE);
}
