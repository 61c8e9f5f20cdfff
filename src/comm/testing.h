// Tests that any number of ranks passes: alone, or started by mpirun.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace evo::testing {

/// The ranks of this test program, for all of its tests, as MPI can be started only once.
class Ranks : public ::testing::Environment {
 public:
  static comm::Communicator& all() {
    if (!communicator()) communicator() = comm::make_communicator({.patience = 60});
    return *communicator();
  }
  void TearDown() override { communicator().reset(); }

 private:
  static std::unique_ptr<comm::Communicator>& communicator() {
    static std::unique_ptr<comm::Communicator> instance;
    return instance;
  }
};

inline ::testing::Environment* const kRanksEnvironment =
    ::testing::AddGlobalTestEnvironment(new Ranks);

/// Rank 0's number on all ranks.
inline double first_of(double own) {
  std::vector<double> all(static_cast<size_t>(Ranks::all().size()));
  Ranks::all().gather(std::span(&own, 1), all);
  return all[0];
}

/// A folder that all ranks share, empty at first, which goes away with the object.
class SharedFolder {
 public:
  SharedFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "evo-ranks-XXXXXX").string();
    if (Ranks::all().is_first()) EVO_CHECK(mkdtemp(pattern.data()) != nullptr);
    for (char& letter : pattern) letter = static_cast<char>(first_of(letter));
    path_ = pattern;
  }
  ~SharedFolder() {
    Ranks::all().barrier();
    std::error_code ignored;
    if (Ranks::all().is_first()) std::filesystem::remove_all(path_, ignored);
  }
  SharedFolder(const SharedFolder&) = delete;
  SharedFolder& operator=(const SharedFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace evo::testing
