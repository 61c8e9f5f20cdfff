// A checkpoint of llama2.c as a model.
#include "base/error.h"
#include "model/sources/weight_source.h"
#include "weights/llama2c_file.h"

namespace evo::model {
namespace {

ModelConfig config_of(const weights::Llama2cFile& file) {
  const weights::Llama2cFile::Header& header = file.header();
  ModelConfig config;
  config.flow = false;
  config.hidden_size = header.hidden;
  config.intermediate_size = header.feed_forward;
  config.num_hidden_layers = header.layers;
  config.num_attention_heads = header.heads;
  config.num_key_value_heads = header.kv_heads;
  config.head_dim = header.head_size();
  config.vocab_size = header.vocabulary;
  config.tie_word_embeddings = header.tied;
  config.max_position_embeddings = header.context;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 10000;
  config.bos_token_id = 1;
  config.eos_token_ids = {2, 1};  // its program ends a text where the next one begins
  try {
    config.validate();
  } catch (const Error& error) {
    fail("{}: is this a llama2.c checkpoint? {}", file.path().string(), error.what());
  }
  return config;
}

}  // namespace

WeightSource llama2c_source(const std::filesystem::path& path) {
  auto file = std::make_shared<const weights::Llama2cFile>(path);
  const ModelConfig config = config_of(*file);
  return {config, parameters_of(std::move(file), config)};
}

}  // namespace evo::model
