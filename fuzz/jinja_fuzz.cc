// Any bytes as a Jinja template, rendered with a conversation: a text or an Error comes out, within
// the limits.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "template/jinja.h"

namespace {

using evo::jinja::Value;

Value message(const char* role, const char* content) {
  return Value::dict({{Value("role"), Value(role)}, {Value("content"), Value(content)}});
}

const evo::jinja::Variables& conversation() {
  static const evo::jinja::Variables kVariables = {
      {"messages",
       Value::list({message("system", "Be brief."), message("user", " What is\n2 + 2? "),
                    message("assistant", "<think>\nh\xC3\xA9\n</think>\n\n4\xFF")})},
      {"tools", Value()},
      {"bos_token", Value("<s>")},
      {"n", Value(int64_t{7})},
      {"x", Value(2.5)},
      {"add_generation_prompt", Value(true)}};
  return kVariables;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Small, so that an input that uses them up does not take long.
  constexpr evo::jinja::Limits kLimits = {.steps = 20'000, .bytes = 1 << 20};
  try {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    const evo::jinja::Template parsed("fuzz", source);
    const std::string text = parsed.render(conversation(), kLimits);
    EVO_CHECK(std::cmp_less_equal(text.size(), kLimits.bytes));
  } catch (const evo::Error&) {
  }
  return 0;
}
