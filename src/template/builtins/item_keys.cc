#include "template/builtins/item_keys.h"

#include "template/operators.h"
#include "text/letter_case.h"

namespace evo::jinja {

Value attribute_path(Budget& budget, Value item, const Value& path, const Value* fallback) {
  const auto step = [&](const Value& key) {
    item = item_of(budget, item, key);
    if (fallback && item.is(Kind::kUndefined)) item = *fallback;
  };
  if (path.as_int()) {
    step(path);
    return item;
  }
  if (!path.is(Kind::kString))
    fault("expected the name of an attribute, found {}", type_name(path));
  std::string_view rest = path.text();
  for (bool more = true; more;) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    const bool index = !part.empty() && part.size() < 10 &&
                       part.find_first_not_of("0123456789") == std::string_view::npos;
    // As Jinja: the entry of a dict first, so that "items" is one.
    step(index ? Value(int64_t{std::stoi(std::string(part))}) : Value(part));
    more = dot != std::string_view::npos;
    if (more) rest.remove_prefix(dot + 1);
  }
  return item;
}

Value keyed(Budget& budget, const Value& item, const Value* path) {
  return path && !path->is(Kind::kNone) ? attribute_path(budget, item, *path) : item;
}

Value fold_case(Budget& budget, const Value& value) {
  if (!value.is(Kind::kString)) return value;
  budget.spend_bytes(8 * value.text().size());
  return text::lower_case(value.text());
}

}  // namespace evo::jinja
