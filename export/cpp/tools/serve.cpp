// `edgemeta-cpp serve`: replays episodes for whoever compares runtimes, see tests/parity.
//
// A request is one JSON object on a line of standard input, and so is its answer on standard
// output. ops.hpp says what else may be asked.
//   {"op": "load", "bundle": DIR} -> {"runtime": ..., "version": ...}
//   {"op": "replay", "episode": FILE, "out": FILE, "repeats": N} -> {"ms": {"adapt": [N], ...}}
//   anything that goes wrong -> {"error": "one line"}

#include <onnxruntime_cxx_api.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "arguments.hpp"
#include "commands.hpp"
#include "edgemeta/runner.hpp"
#include "episode.hpp"
#include "ops.hpp"

namespace {

using edgemeta::Error;
using Json = nlohmann::json;

/// What was loaded, and answers to requests.
class Server {
 public:
  explicit Server(int threads) : threads_(threads) {}

  Json answer(const Json& request) {
    const std::string op = request.at("op");
    if (op == "load") return load(request.at("bundle").get<std::string>());
    if (op == "replay") {
      return replay(request.at("episode").get<std::string>(), request.at("out").get<std::string>(),
                    request.value("repeats", 1));
    }
    if (op == "freeze") return freeze(request, runner());
    if (op == "features") return features(request, runner());
    if (op == "classify") return classify(request, threads_);
    throw Error(Error::Kind::input, "unknown op", op, "load, replay, freeze, features or classify");
  }

 private:
  Json load(const std::string& bundle) {
    runner_.emplace(bundle, threads_);
    return {{"runtime", "onnxruntime-cpp"}, {"version", OrtGetApiBase()->GetVersionString()}};
  }

  const edgemeta::Runner& runner() const {
    if (!runner_) {
      throw Error(Error::Kind::input, "nothing is loaded", "", "", "load a bundle first");
    }
    return *runner_;
  }

  Json replay(const std::string& path, const std::string& out, int repeats) const {
    if (repeats < 1) throw Error(Error::Kind::input, "repeats must be at least 1");
    const Episode episode = read_episode(*runner_, path);
    edgemeta::AdaptOptions options;
    options.steps = episode.steps;
    options.lr_scale = episode.lr_scale;
    options.guard = false;
    Json adapting = Json::array(), predicting = Json::array();
    for (int i = 0; i < repeats; ++i) {
      const Stopwatch adapt;
      const auto learner = runner().adapt(episode.support_x, episode.support_y, options);
      adapting.push_back(adapt.milliseconds());
      const Stopwatch predict;
      const auto prediction = learner.predict_logits(episode.query_x);
      predicting.push_back(predict.milliseconds());
      if (i == 0) edgemeta::write_tensors(out, {{}, results_of(runner(), learner, prediction)});
    }
    return {{"ms", {{"adapt", adapting}, {"predict", predicting}}}};
  }

  int threads_;
  std::optional<edgemeta::Runner> runner_;
};

}  // namespace

void serve(const Words& words) {
  const Arguments arguments("serve", words, {}, {"--threads"});
  Server server(static_cast<int>(arguments.integer("--threads", 1).value_or(0)));
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      answer = server.answer(Json::parse(line));
    } catch (const std::exception& error) {
      // Made an Error, whatever it is, since the text of one is a single line.
      answer = {{"error", Error(Error::Kind::failure, error.what()).what()}};
    }
    std::cout << answer.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  }
}
