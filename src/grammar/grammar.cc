#include "grammar/grammar.h"

#include "base/error.h"
#include "grammar/schema/json_rules.h"
#include "grammar/schema/schema_compiler.h"
#include "json/json_text.h"

namespace evo::grammar {

Grammar::Grammar(Program program) : program_(std::make_shared<const Program>(std::move(program))) {}

Grammar Grammar::json_object() {
  ProgramBuilder builder;
  const JsonRules json(builder);
  return Grammar(whole_text(std::move(builder), json.object));
}

Grammar Grammar::from_json_schema(std::string_view schema_json) {
  constexpr size_t kMostBytes = size_t{256} << 10;
  if (schema_json.size() > kMostBytes) {
    fail("the schema has {} bytes, but at most {} are supported", schema_json.size(), kMostBytes);
  }
  const Json schema = json::parse_json(schema_json, "the schema");
  return Grammar(SchemaCompiler(schema).compile());
}

}  // namespace evo::grammar
