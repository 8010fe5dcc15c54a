/* Element segments as values. */
#ifndef CN_VM_SEGMENT_H
#define CN_VM_SEGMENT_H

#include "vm/instance.h"

/* Evaluates the segment's expressions where they may make objects: so they are made once. */
CN_CHECKED enum cn_status cn_segment_evaluate(struct cn_instance *instance, uint32_t segment,
                                              struct cn_error *error);

/* Nothing can be taken from it any more. */
void cn_segment_drop(struct cn_instance *instance, uint32_t segment);

/* The reference that element `at` of an element segment stands for: a struct cn_func * or an
 * externref. `at` is below the segment's count; its expression is validated and cannot fail. */
void *cn_segment_element(struct cn_instance *instance, uint32_t segment, uint32_t at);

#endif
