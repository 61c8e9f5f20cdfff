// A model folder's settings as GGUF's metadata: gguf_documents() the other way round.
#pragma once

#include <vector>

#include "json/record.h"
#include "weights/gguf/architecture.h"
#include "weights/gguf/gguf_writer.h"
#include "weights/safetensors.h"

namespace evo::weights {

/// Writes what a config.json says of the network, and returns what GGUF calls it. Throws Error if
/// GGUF cannot say it.
const GgufArchitecture& export_config(const json::Record& config, GgufWriter& writer);

/// How to sample, of a generation_config.json.
void export_generation_config(const json::Record& config, GgufWriter& writer);

/// Arrays under the names and in the order of rows that GGUF has, matrices in `format` (tables of
/// tokens in no fewer than 8 bits) and vectors in F32; those of experts become one. `config` is as
/// above. All have `make`.
void export_arrays(const json::Record& config, const GgufArchitecture& architecture,
                   const std::vector<ArrayToWrite>& arrays, const BlockFormat& format,
                   GgufWriter& writer);

}  // namespace evo::weights
