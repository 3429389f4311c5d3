/* The header is the whole module; this file makes it a target. */
#include "drover_plugin.h"
