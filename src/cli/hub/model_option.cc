#include "cli/hub/model_option.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <system_error>

#include "cli/hub/hub_settings.h"

namespace evo::cli {

namespace fs = std::filesystem;

namespace {

std::string find_model_path(const std::string& model) {
  std::error_code error;
  if (fs::exists(model, error)) return model;
  const auto name = hub::find_model_name(model);
  return name ? hub::find_model(hub_cache(), *name).string() : model;
}

}  // namespace

CLI::Option* takes_model(CLI::Option* option) {
  return option->transform(find_model_path, "");
}

std::string model_title(const std::string& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  const fs::path last = whole.has_filename() ? whole : whole.parent_path();
  if (const std::string name = hub::repository_of(last); !name.empty()) return name;
  return fs::is_directory(last) ? last.filename().string() : last.stem().string();
}

}  // namespace evo::cli
