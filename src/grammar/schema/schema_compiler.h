// A JSON Schema as a Program; what part of JSON Schema is known is said in grammar.h.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/schema/json_rules.h"
#include "grammar/schema/json_texts.h"
#include "grammar/schema/schema_node.h"

namespace evo::grammar {

/// Alternatives in one place that are followed side by side; below Automaton::kMostReadings, so
/// that none is lost unless such places are inside each other.
inline constexpr size_t kMostAlternatives = 256;

class SchemaCompiler {
 public:
  /// `schema` must outlive this.
  explicit SchemaCompiler(const Json& schema) : schema_(schema) {}

  /// Throws Error naming what is at fault. Once only.
  [[nodiscard]] Program compile();

 private:
  struct Property {
    std::string name;
    RuleId value;
    bool required;
  };

  /// A schema whose rule was called but is not defined yet.
  struct Pending {
    const Json* schema;
    const Place* place;
    RuleId rule;
  };

  /// The rule of the values that are valid under a schema, the same for the same schema: so that
  /// schemas can refer to each other in circles. Defined later, so that nothing recurses.
  RuleId rule_of(const Json& schema, const Place& place);
  /// Of each schema in a list.
  std::vector<RuleId> rules_of(const SchemaNode& node, const char* keyword);
  /// `parent` is null for a place that is named whole.
  const Place& add_place(const Place* parent, std::string name);

  Position describe(const Json& schema, const Place& place);
  Position reference(const SchemaNode& node);
  Position union_of(const SchemaNode& node, const char* keyword);
  Position values(const SchemaNode& node);
  Position constant(const Json& value);
  Position typed(const SchemaNode& node);
  Position of_type(const SchemaNode& node, const std::string& type);
  Position string(const SchemaNode& node);
  Position number(const SchemaNode& node);
  Position integer(const SchemaNode& node);
  Position object(const SchemaNode& node);
  Position array(const SchemaNode& node);
  std::vector<Property> properties_of(const SchemaNode& node);
  /// The rule of members that the schema does not name, if it has any.
  std::optional<RuleId> other_values(const SchemaNode& node);

  /// Error if there is no valid text.
  void check_satisfiable(const Program& program) const;

  const Json& schema_;
  ProgramBuilder builder_;
  JsonRules json_{builder_};
  std::deque<Place> places_;
  std::vector<Pending> pending_;
  std::unordered_map<const Json*, RuleId> rules_;
  std::unordered_map<RuleId, const Place*> rule_places_;
};

}  // namespace evo::grammar
