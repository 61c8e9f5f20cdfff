// What Hugging Face puts around an encoded text: the token that begins every text of Llama's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace evo::tokenizer {

struct PostProcessor {
  std::vector<int32_t> prefix, suffix;  ///< ids around the text

  /// `json`: the "post_processor" of a tokenizer.json: null, ByteLevel (which changes no ids),
  /// TemplateProcessing, or a Sequence of them. Only the template for one text counts. Ids must be
  /// less than `tokens`. Throws Error naming what is damaged or not supported.
  static PostProcessor parse(const std::string& json, size_t tokens);

  struct Named {
    std::string name;
    int32_t id;
  };
  /// A TemplateProcessing that puts these tokens before and behind each text; null if there are
  /// none.
  static std::string json_of(const std::vector<Named>& prefix, const std::vector<Named>& suffix);
  /// The same of the token `name`, whose id is `id`, before each text.
  static std::string json_with_prefix(const std::string& name, int32_t id);
};

}  // namespace evo::tokenizer
