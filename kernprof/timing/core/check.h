// Whether a machine description and a trace can be worked with: nothing behind this check looks at
// an array's length again.
#pragma once

#include "sm.h"

namespace kernprof {

// kFine, or what is wrong; then `problem` is the number of the field (in the order of Config or
// Lengths), the instruction, the basic block, the warp or the word.
Status check(const Config& config, const Launch& launch, const Lengths& lengths,
             std::int64_t* problem);

// The range of a field of Config, both ends included; false where there is no such field.
bool range(int field, double* low, double* high);

}  // namespace kernprof
