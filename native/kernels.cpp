// The kernels alone, for a build that compiles them otherwise than the rest (CALOTYPE_KERNELS_APART).
#define CALOTYPE_KERNELS_HERE
#include "kernels.hpp"
