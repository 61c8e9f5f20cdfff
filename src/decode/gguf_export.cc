#include "decode/gguf_export.h"

#include "tokenizer/readers/gguf/gguf_tokenizer.h"
#include "weights/gguf/gguf_export.h"

namespace evo::decode {

void write_gguf(const std::filesystem::path& path, GgufExport model) {
  const model::ModelConfig& shape = model.source.config;
  EVO_CHECK(!shape.flow);
  // What blocks have of their own is said elsewhere than in the settings that are exported.
  if (!shape.is_plain()) {
    fail("{}: a {} is not written as GGUF: expected a Llama, Qwen2 or Qwen3 without more",
         model.name, shape.family());
  }
  const weights::BlockFormat* const format = weights::find_block_format(model.format);
  EVO_CHECK(format != nullptr && format->write != nullptr);
  json::Record config = shape.record();
  config.set_source(model.name);
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
  for (const weights::ArrayToWrite& array : model.source.arrays)
    weights::export_array(config, architecture, array, *format, writer);
  writer.write(path);
}

}  // namespace evo::decode
