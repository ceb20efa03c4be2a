// Replaying a bundle's recorded episode: does this machine compute what PyTorch did?

#include <iomanip>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "arguments.hpp"
#include "commands.hpp"
#include "edgemeta/runner.hpp"
#include "episode.hpp"
#include "options.hpp"
#include "recorded.hpp"

namespace {

using edgemeta::Error;
using edgemeta::Tensor;

/// The difference of each group, "state", "losses" and "logits" or "output": that of the tensor
/// which comes nearest to its limit.
std::map<std::string, Difference> replay(const edgemeta::Runner& runner) {
  const Episode episode = read_selftest(runner);
  edgemeta::AdaptOptions options;
  options.steps = episode.steps;
  options.lr_scale = episode.lr_scale;
  options.guard = false;
  const auto learner = runner.adapt(episode.support_x, episode.support_y, options);
  const Tensor prediction = learner.predict_logits(episode.query_x);
  std::map<std::string, Difference> found;
  for (const auto& [file_name, got] : results_of(runner, learner, prediction)) {
    const bool is_state = file_name.size() > 5 && file_name.substr(file_name.size() - 5) == ".next";
    const std::string name = is_state ? file_name.substr(0, file_name.size() - 5) : file_name;
    const edgemeta::Manifest& manifest = runner.manifest();
    const Difference difference =
        compare(got, episode.results, file_name, name, manifest.atol, manifest.rtol);
    const auto [at, is_new] = found.try_emplace(is_state ? "state" : name, difference);
    if (!is_new && difference.share() > at->second.share()) at->second = difference;
  }
  return found;
}

std::string text(double value) {
  std::ostringstream written;
  written << std::setprecision(3) << value;
  return written.str();
}

}  // namespace

void verify(const Words& words) {
  const Arguments arguments("verify", words, {"BUNDLE"}, {"--threads", "--key"});
  const edgemeta::Runner runner = open_bundle(arguments);
  const auto found = replay(runner);
  for (const auto& [group, difference] : found) {
    if (difference.largest <= difference.limit) continue;
    throw Error(Error::Kind::parity,
                "this machine does not compute what PyTorch did: " + difference.tensor + " differs",
                text(difference.largest), "at most " + text(difference.limit));
  }
  if (arguments.json()) {
    const auto key = arguments.text("--key");
    nlohmann::json record = {{"bundle", runner.fingerprint()},
                             {"signed_with", key ? nlohmann::json(*key) : nullptr}};
    for (const auto& [group, difference] : found) {
      record["differences"][group] = {{"largest", difference.largest},
                                      {"limit", difference.limit},
                                      {"tensor", difference.tensor}};
    }
    std::cout << record.dump() << '\n';
    return;
  }
  for (const auto& [group, difference] : found) {
    std::cout << group << ": " << difference.tensor << " differs by " << difference.largest
              << ", at most " << difference.limit << '\n';
  }
  std::cout << arguments.position(0) << ": this runtime computes what PyTorch did\n";
}
