#include "cli/hub/model_option.h"

#include <filesystem>
#include <system_error>

#include "cli/hub/hub_settings.h"

namespace evo::cli {

namespace fs = std::filesystem;

std::string ModelOption::path() const {
  std::error_code error;
  if (fs::exists(text, error)) return text;
  const auto name = hub::find_model_name(text);
  return name ? hub::find_model(hub_cache(), *name).string() : text;
}

std::string ModelOption::title() const {
  const fs::path whole = fs::absolute(path()).lexically_normal();
  const fs::path last = whole.has_filename() ? whole : whole.parent_path();
  if (std::string name = hub::repository_of(last); !name.empty()) return name;
  return fs::is_directory(last) ? last.filename().string() : last.stem().string();
}

}  // namespace evo::cli
