#include "decode/gguf_export.h"

#include "tokenizer/readers/gguf_tokenizer.h"
#include "weights/gguf/gguf_export.h"

namespace evo {

void write_gguf(const std::filesystem::path& path, GgufExport model) {
  const ModelConfig& shape = model.source.config;
  EVO_CHECK(!shape.flow);
  const BlockFormat* const format = find_block_format(model.format);
  EVO_CHECK(format != nullptr && format->write != nullptr);
  Record config = shape.record();
  config.set_source(model.name);
  GgufWriter writer;
  const GgufArchitecture& architecture = export_config(config, writer);
  writer.set("general.name", model.name);
  writer.set("general.file_type", format->file_type);
  writer.set("general.quantization_version", int64_t{2});
  export_generation_config(model.generation_config, writer);
  GgufSpecialTokens special{shape.bos_token_id, shape.eos_token_ids};
  if (special.ends.empty()) special.ends = {model.tokenizer.end_of_text()};
  export_tokenizer(model.tokenizer.spec(), special, shape.vocab_size, writer);
  if (!model.chat_template.empty()) writer.set("tokenizer.chat_template", model.chat_template);
  for (const ArrayToWrite& array : model.source.arrays)
    export_array(config, architecture, array, *format, writer);
  writer.write(path);
}

}  // namespace evo
