// A model folder's settings as GGUF's metadata: gguf_documents() the other way round.
#pragma once

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

/// An array under the name and in the order of rows that GGUF has, matrices in `format` and vectors
/// in F32. `config` is as above. `array` has `make`.
void export_array(const json::Record& config, const GgufArchitecture& architecture,
                  const ArrayToWrite& array, const BlockFormat& format, GgufWriter& writer);

}  // namespace evo::weights
