// What the environment says of a model hub and of its cache, as the hub's own client reads it.
#pragma once

#include <filesystem>
#include <string>

#include "hub/cache/cache.h"

namespace evo::cli {

/// HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub or
/// ~/.cache/huggingface/hub, whichever is set first. Throws Error if none is.
[[nodiscard]] hub::Cache hub_cache();

/// HF_TOKEN, HUGGING_FACE_HUB_TOKEN or the content of HF_TOKEN_PATH, by default HF_HOME/token;
/// empty: none. Throws Error for one that cannot be a token, without saying what it is.
[[nodiscard]] std::string hub_token();

/// HF_ENDPOINT; empty: none. There is no other default.
[[nodiscard]] std::string hub_endpoint();

/// CURL_CA_BUNDLE or SSL_CERT_FILE; empty: the system's authorities.
[[nodiscard]] std::string hub_certificates();

/// HF_HUB_OFFLINE: nothing may be downloaded.
[[nodiscard]] bool hub_is_offline();

}  // namespace evo::cli
