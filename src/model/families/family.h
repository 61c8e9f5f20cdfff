// Families of models: what their config.json says, and where their weights lie in files.
//
// A family is a file here and a row in families.cc. It says what of a BlockConfig its models have
// and, where its arrays are not ours by name and form, where they are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json/record.h"
#include "model/config.h"
#include "model/parameters.h"

namespace evo::model {

/// Where a parameter, [rows, cols] or [rows], lies in a family's files.
struct ArrayPlace {
  std::string array;           ///< its name there
  std::vector<int64_t> shape;  ///< of the array there
  int64_t first_row = 0;       ///< of ours among its rows
  /// Ours lie there in groups of so many rows, each so far from the one before; 0: all together.
  int64_t group_rows = 0, group_stride = 0;
  bool transposed = false;  ///< there [in, out]; rows are counted as we have them
  float added = 0;          ///< ours are theirs and this

  /// The whole array, as it is.
  [[nodiscard]] bool is_plain() const { return !is_part() && !transposed && added == 0; }
  [[nodiscard]] bool is_part() const { return first_row > 0 || group_rows > 0 || partial; }
  bool partial = false;  ///< there are other rows behind ours
};

struct Family {
  std::string_view model_type;    ///< as config.json calls it
  std::string_view architecture;  ///< in its "architectures"
  /// Sets everything that the family's models have.
  void (*read)(const json::Record& record, ModelConfig& config);
  /// Null: all parameters lie under our names, as we have them.
  ArrayPlace (*place)(const ModelConfig& config, const Parameter& parameter) = nullptr;
  /// What names of the backbone's arrays begin with; files without it are read as well.
  std::string_view prefix = "model.";
};

/// The family that a config.json names; throws Error naming those that we know if it is none.
[[nodiscard]] const Family& named_family(const json::Record& record);
/// That of a model that was read, or made.
[[nodiscard]] const Family& family_of(const ModelConfig& config);
/// That as which such a model is saved.
[[nodiscard]] const Family& saved_family_of(const ModelConfig& config);

[[nodiscard]] ArrayPlace place_of(const Family& family, const ModelConfig& config,
                                  const Parameter& parameter);

}  // namespace evo::model
