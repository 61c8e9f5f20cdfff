#include "eval/data/zip_archive.h"

#include <zip.h>

#include <string_view>

#include "base/error.h"

namespace evo::eval {
namespace {

using Member = std::unique_ptr<zip_file_t, int (*)(zip_file_t*)>;

}  // namespace

ZipArchive::ZipArchive(const std::filesystem::path& path)
    : path_(path), zip_(nullptr, zip_discard) {
  int code = 0;
  zip_.reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (zip_ != nullptr) return;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  fail("cannot read the archive {}: {}", path.string(), reason);
}

std::vector<std::string> ZipArchive::members() const {
  std::vector<std::string> names;
  const zip_int64_t count = zip_get_num_entries(zip_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* const name = zip_get_name(zip_.get(), static_cast<zip_uint64_t>(i), 0);
    if (name != nullptr && !std::string_view(name).ends_with('/')) names.emplace_back(name);
  }
  return names;
}

void ZipArchive::refuse(const std::string& member) const {
  fail("cannot read {} in the archive {}: {}", member, path_.string(), zip_strerror(zip_.get()));
}

std::string ZipArchive::read(const std::string& member, int64_t max_bytes) const {
  zip_stat_t about;
  if (zip_stat(zip_.get(), member.c_str(), 0, &about) != 0) refuse(member);
  if ((about.valid & ZIP_STAT_SIZE) == 0 || about.size > static_cast<zip_uint64_t>(max_bytes)) {
    fail("{} in the archive {} is longer than {} bytes", member, path_.string(), max_bytes);
  }
  const Member file(zip_fopen(zip_.get(), member.c_str(), 0), zip_fclose);
  if (file == nullptr) refuse(member);
  // One byte more: reading up to the end is what makes libzip compare the checksum.
  std::string text(about.size + 1, '\0');
  size_t filled = 0;
  zip_int64_t count = 0;
  while ((count = zip_fread(file.get(), text.data() + filled, text.size() - filled)) > 0) {
    filled += static_cast<size_t>(count);
  }
  if (count < 0) {
    fail("cannot read {} in the archive {}: {}", member, path_.string(),
         zip_file_strerror(file.get()));
  }
  if (filled != about.size) {
    fail("cannot read {} in the archive {}: it is not as long as the archive says", member,
         path_.string());
  }
  text.resize(filled);
  return text;
}

}  // namespace evo::eval
