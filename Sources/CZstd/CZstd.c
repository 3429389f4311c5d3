/* The header is the whole module; this file makes it a target. */
#include "CZstd.h"
