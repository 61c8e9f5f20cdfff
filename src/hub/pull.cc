#include "hub/pull.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/checked.h"
#include "base/log.h"
#include "base/process/watcher.h"
#include "base/terminal/progress.h"
#include "files/files.h"
#include "hub/choose_files.h"

namespace evo::hub {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kLongestAnswer = int64_t{64} << 20;  // bytes of JSON
constexpr size_t kMostFiles = 1'000'000;               // of a repository

Caller caller_of(const PullRequest& request, const Url& endpoint) {
  if (!request.token.empty() && !endpoint.is_private()) {
    log_warning("{} is not https: the token is not sent, since others could read it on its way",
                endpoint.shown());
  }
  return {.agent = request.agent,
          .token = request.token,
          .token_for = endpoint,
          .certificates = request.certificates};
}

/// What a user can do about a refusal.
std::string advice(const Reply& reply, const ModelName& name, bool has_token) {
  constexpr int64_t kUnauthorized = 401, kForbidden = 403, kNotFound = 404;
  const std::string code = reply.header("x-error-code");
  if (code == "GatedRepo") {
    return fmt::format(
        "{} is gated: accept its terms on its page at the hub, and give the token of that account "
        "in HF_TOKEN{}",
        name.repository, has_token ? " (the one that was sent has no access)" : "");
  }
  if (code == "RevisionNotFound")
    return fmt::format("{} has no revision '{}'", name.repository, name.wanted_revision());
  if (reply.status == kUnauthorized && has_token)
    return fmt::format("the hub does not accept the token for {}: is it still valid?",
                       name.repository);
  if (reply.status == kForbidden && has_token)
    return fmt::format("the token has no access to {}", name.repository);
  if (reply.status == kUnauthorized || reply.status == kForbidden || reply.status == kNotFound) {
    return fmt::format("{} does not exist there{}", name.repository,
                       has_token ? "" : ", or is private: then give a token in HF_TOKEN");
  }
  return "the hub refuses; is the endpoint right?";
}

/// One pull.
class Pull {
 public:
  Pull(const Cache& cache, const PullRequest& request)
      : cache_(cache),
        request_(request),
        name_(request.name),
        endpoint_(Url::parse(request.endpoint, "endpoint")),
        client_(caller_of(request, endpoint_)) {}

  PullResult run() {
    const std::string api = "/api/models/" + name_.repository;
    const Url revision =
        url(api + "/revision/" + percent_encoded(name_.wanted_revision(), /*keep_slashes=*/false));
    commit_ = commit_of(ask(revision).first, revision.shown());
    const std::vector<RemoteFile> listed = list(url(api + "/tree/" + commit_ + "?recursive=true"));
    Choice choice = choose_files(listed, name_);
    if (!choice.index.empty()) add_shards(choice, listed);
    fetch(choice.files);
    publish(choice.files);
    const fs::path snapshot = cache_.snapshot(name_.repository, commit_);
    return {choice.model.empty() ? snapshot : snapshot / choice.model, commit_, choice.files.size(),
            bytes_of(choice.files), downloaded_};
  }

 private:
  [[nodiscard]] Url url(const std::string& path) const {
    std::string text = endpoint_.text();
    while (text.ends_with('/')) text.pop_back();
    return Url::parse(text + path, "address");
  }

  /// Text and header "Link" of a good reply.
  std::pair<std::string, std::string> ask(const Url& address) {
    Retry retry(request_.patience);
    while (true) {
      std::string text;
      try {
        const Reply reply = client_.get(
            {.url = address, .on_body = [&](std::string_view piece) {
               if (std::ssize(text) + std::ssize(piece) > kLongestAnswer)
                 fail("{}: the answer is longer than {} bytes", address.shown(), kLongestAnswer);
               text += piece;
             }});
        return {std::move(text), reply.header("link")};
      } catch (const TransferError& error) {
        retry.wait(error, false);
      }
    }
  }

  std::vector<RemoteFile> list(Url page) {
    std::vector<RemoteFile> files;
    while (true) {
      const auto [text, link] = ask(page);
      for (RemoteFile& file : files_of(text, page.shown())) files.push_back(std::move(file));
      if (files.size() > kMostFiles) fail("{}: more than {} files", page.shown(), kMostFiles);
      const std::string next = next_page(link);
      if (next.empty()) return files;
      page = page.resolve(next, "next page");
      if (!page.same_origin(endpoint_))
        fail("{}: the list of files goes on at another host than the endpoint", page.shown());
    }
  }

  void add_shards(Choice& choice, const std::vector<RemoteFile>& listed) {
    const auto index = std::ranges::find(choice.files, choice.index, &RemoteFile::path);
    fetch({*index});
    const fs::path blob = cache_.blob(name_.repository, index->digest);
    for (RemoteFile& shard :
         shards_of(files::read_file(blob, kLongestAnswer), choice.index, listed))
      choice.files.push_back(std::move(shard));
  }

  /// Downloads those that are not there.
  void fetch(const std::vector<RemoteFile>& files) {
    std::vector<RemoteFile> missing;
    int64_t total = 0, left = 0;  // bytes, and those of them that an earlier attempt left
    for (const RemoteFile& file : files) {
      const fs::path blob = cache_.blob(name_.repository, file.digest);
      const bool twice =
          std::ranges::find(missing, file.digest, &RemoteFile::digest) != missing.end();
      if (twice || is_there(blob, file.size)) continue;
      missing.push_back(file);
      total = checked_add(total, file.size, file.path);
      std::error_code none;
      const auto part = fs::file_size(blob.string() + std::string(kUnfinished), none);
      if (!none) left += std::min(static_cast<int64_t>(part), file.size);
    }
    check_room(total - left);
    constexpr double kMegabyte = 1e6;
    Progress progress("downloading", static_cast<double>(total) / kMegabyte, "MB", false,
                      static_cast<double>(left) / kMegabyte);
    int64_t before = 0;  // bytes of the files that are complete
    for (const RemoteFile& file : missing) {
      downloaded_ += download(client_, download_of(file), request_.patience, [&](int64_t bytes) {
        progress.update(static_cast<double>(before + bytes) / kMegabyte, file.path);
      });
      before += file.size;
    }
  }

  [[nodiscard]] Download download_of(const RemoteFile& file) const {
    const std::string path = "/" + name_.repository + "/resolve/" + commit_ + "/" +
                             percent_encoded(file.path, /*keep_slashes=*/true);
    return {url(path), file, cache_.blob(name_.repository, file.digest),
            cache_.lock_folder(name_.repository) / (file.digest + ".lock")};
  }

  /// Said before hours of download, not after.
  void check_room(int64_t needed) const {
    std::error_code error;
    fs::create_directories(cache_.folder(), error);
    if (error) fail("cannot make the folder {}: {}", cache_.folder().string(), error.message());
    const fs::space_info space = fs::space(cache_.folder(), error);
    if (error || std::cmp_less_equal(needed, space.available)) return;
    fail(
        "{}: {} are to come, and {} are free in {}: make room, or choose another folder with "
        "HF_HUB_CACHE",
        name_.text(), format_bytes(static_cast<double>(needed)),
        format_bytes(static_cast<double>(space.available)), cache_.folder().string());
  }

  /// The snapshot's links, then the revision's name.
  void publish(const std::vector<RemoteFile>& files) const {
    const fs::path snapshot = cache_.snapshot(name_.repository, commit_);
    for (const RemoteFile& file : files) link_blob(snapshot, file);
    if (is_commit(name_.wanted_revision())) return;
    const fs::path ref = cache_.model_folder(name_.repository) / "refs" / name_.wanted_revision();
    fs::create_directories(ref.parent_path());
    files::write_atomically(ref, commit_);
  }

  void link_blob(const fs::path& snapshot, const RemoteFile& file) const {
    const fs::path link = snapshot / file.path;
    // A folder that is a link would lead out of the snapshot.
    fs::path folder = snapshot;
    fs::create_directories(folder);
    fs::path up = fs::path("..") / "..";
    for (const fs::path& part : fs::path(file.path).parent_path()) {
      folder /= part;
      up /= "..";
      fs::create_directory(folder);
      if (fs::is_symlink(folder))
        fail("{}: expected a folder, found a link: remove it", folder.string());
    }
    std::error_code missing;
    const fs::path blob = cache_.blob(name_.repository, file.digest);
    if (fs::equivalent(link, blob, missing)) return;
    const fs::path fresh = folder / fmt::format(".link-{}", getpid());
    fs::remove(fresh);
    fs::create_symlink(up / "blobs" / file.digest, fresh);
    fs::rename(fresh, link);
  }

  static int64_t bytes_of(const std::vector<RemoteFile>& files) {
    int64_t bytes = 0;
    for (const RemoteFile& file : files) bytes = checked_add(bytes, file.size, file.path);
    return bytes;
  }

  const Cache& cache_;
  const PullRequest& request_;
  const ModelName name_;
  Url endpoint_;
  HttpClient client_;
  std::string commit_;
  int64_t downloaded_ = 0;
};

}  // namespace

PullResult pull(const Cache& cache, const PullRequest& request) {
  try {
    return Pull(cache, request).run();
  } catch (const RefusedError& error) {
    fail("{}\n{}", error.what(), advice(error.reply(), request.name, !request.token.empty()));
  }
}

}  // namespace evo::hub
