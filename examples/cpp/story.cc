// Writes a story, scores it, and fills in a form: story [MODEL].
#include <evo/evo.hpp>
#include <iostream>

using namespace evo;

int main(int count, char** arguments) try {
  const Model model(count > 1 ? arguments[1] : "assets/evo-7m");
  const std::string beginning = "Once upon a time";
  const auto show = [](std::string_view piece) {
    return static_cast<bool>(std::cout << piece << std::flush);  // false would end the story
  };
  const Generation story =
      model.generate(beginning, {.mode = Mode::kExact, .max_tokens = 60}, show);
  std::cout << "\n" << story.tokens_per_forward << " tokens per forward pass\n";
  std::cout << model.score(story.text, beginning).nats_per_token() << " nats per token\n";

  const std::string form = R"({"type": "object", "properties": {"age": {"type": "integer"},
      "name": {"type": "string", "maxLength": 20}}, "required": ["name", "age"]})";
  std::cout << model.generate("The cat is called", {.json_schema = form}).text << "\n";
} catch (const Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
