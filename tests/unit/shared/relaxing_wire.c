/* SPDX-License-Identifier: Apache-2.0 */
/* The wire format's reader, which counts where the kernel would let others run. */
unsigned int relaxed;

#define RELAX() ((void)++relaxed)
#include "kernel/shared/protobuf_wire.c" /* NOLINT(bugprone-suspicious-include): to set the macro */
