// Any bytes are an answer of a hub or an Error; what is read of one stays within its folder.
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "hub/choose_files.h"
#include "hub/digest.h"
#include "hub/remote/answers.h"

namespace {

using namespace evo::hub;

void check(const RemoteFile& file) {
  const auto path = std::filesystem::path("/cache/" + file.path).lexically_normal();
  if (!path.string().starts_with("/cache/") || file.size < 0) abort();
  (void)digest_kind(file.digest, "fuzz", "digest");
}

template <class Read>
void attempt(const Read& read) {
  try {
    read();
  } catch (const evo::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  attempt([&] {
    if (!is_commit(commit_of(text, "fuzz"))) abort();
  });
  attempt([&] {
    const std::vector<RemoteFile> files = files_of(text, "fuzz");
    for (const RemoteFile& file : files) check(file);
    attempt([&] { (void)choose_files(files, {.repository = "a/b", .revision = "", .file = ""}); });
    (void)choose_files(files, {.repository = "a/b", .revision = "", .file = "Q4_K_M"});
  });
  attempt([&] { (void)shards_of(text, "fuzz", {}); });
  (void)next_page(text);
  if (const auto name = find_model_name(text); name && name->text() != text) abort();
  return 0;
}
