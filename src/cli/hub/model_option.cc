#include "cli/hub/model_option.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <system_error>

#include "cli/hub/hub_settings.h"

namespace evo::cli {

namespace fs = std::filesystem;

namespace {

constexpr const char* kKind = "MODEL";  // of an option's value, in the help too

/// The path that `model` means, or itself.
std::string find_model_path(const std::string& model) {
  std::error_code error;
  const auto name = hub::find_model_name(model);
  if (!name || fs::exists(model, error)) return model;
  try {
    return hub::find_model(hub_cache(), *name).string();
  } catch (const hub::NotInCache&) {
    return model;  // whoever opens it says that it is missing: other mistakes may come before
  }
}

}  // namespace

CLI::Option* takes_model(CLI::Option* option) {
  return option->transform(find_model_path, "")->type_name(kKind);
}

std::string missing_model(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_type_name() != kKind || option->count() == 0) continue;
    const std::string model = option->as<std::string>();
    std::error_code error;
    const auto name = hub::find_model_name(model);
    if (!name || fs::exists(model, error)) continue;
    try {
      (void)hub::find_model(hub_cache(), *name);
    } catch (const hub::NotInCache& missing) {
      return missing.what();
    }
  }
  return {};
}

std::string model_title(const std::string& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  const fs::path last = whole.has_filename() ? whole : whole.parent_path();
  if (const std::string name = hub::repository_of(last); !name.empty()) return name;
  return fs::is_directory(last) ? last.filename().string() : last.stem().string();
}

}  // namespace evo::cli
