// The kernels and the comparison of windows alone, for a build that compiles them otherwise than the rest (CALOTYPE_KERNELS_APART).
#define CALOTYPE_KERNELS_HERE
#include "glance.hpp"
#include "kernels.hpp"
