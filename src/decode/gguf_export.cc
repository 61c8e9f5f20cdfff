#include "decode/gguf_export.h"

#include "decode/gguf_network.h"
#include "model/sources/family_weights.h"
#include "tokenizer/readers/gguf/gguf_tokenizer.h"
#include "weights/gguf/gguf_export.h"

namespace evo::decode {

void write_gguf(const std::filesystem::path& path, GgufExport model) {
  const model::ModelConfig& shape = model.source.config;
  EVO_CHECK(!shape.flow);
  const weights::BlockFormat* const format = weights::find_block_format(model.format);
  EVO_CHECK(format != nullptr && format->write != nullptr);
  const json::Record config = whole_config(shape, model.name);
  weights::GgufWriter writer;
  const weights::GgufArchitecture& architecture = weights::export_config(config, writer);
  writer.set("general.name", model.name);
  writer.set("general.file_type", format->file_type);
  writer.set("general.quantization_version", int64_t{2});
  weights::export_generation_config(model.generation_config, writer);
  tokenizer::GgufSpecialTokens special{shape.bos_token_id, shape.eos_token_ids};
  const int32_t end = model.tokenizer.end_of_text();
  if (special.ends.empty() && end >= 0) special.ends = {end};
  tokenizer::export_tokenizer(model.tokenizer.spec(), special, shape.vocab_size, writer);
  if (!model.chat_template.empty()) writer.set("tokenizer.chat_template", model.chat_template);
  weights::export_arrays(config, architecture, arrays_of_family(shape, model.source.arrays),
                         *format, writer);
  writer.write(path);
  try {
    require_same_network(shape, model::ModelConfig::load(path), model.name);
  } catch (const Error&) {
    std::filesystem::remove(path);
    throw;
  }
}

}  // namespace evo::decode
