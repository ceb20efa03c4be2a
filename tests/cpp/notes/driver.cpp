// Runs the code of cpp_runtime_notes.md on data from a file, and prints what it came to as JSON.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <edgemeta/runner.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "includes.inc"

template <class T>
std::vector<T> values(const edgemeta::Tensors& tensors, const char* name) {
  const edgemeta::Tensor& tensor = tensors.at(name);
  return std::vector<T>(tensor.data<T>(), tensor.data<T>() + tensor.count());
}

template <class T>
void print(const char* name, const T* first, std::size_t count, const char* end) {
  std::cout << '"' << name << "\": [";
  for (std::size_t i = 0; i < count; ++i) std::cout << (i > 0 ? ", " : "") << first[i];
  std::cout << ']' << end;
}

int main(int, char** words) {
  const std::string bundle = words[1];
  const edgemeta::Tensors data = edgemeta::read_tensors(words[2]).tensors;
  auto pixels = values<std::uint8_t>(data, "x");
  auto labels = values<std::int64_t>(data, "y");
  auto queries = values<std::uint8_t>(data, "query");

#include "blocks.inc"

  std::cout << '{';
  std::cout << "\"called\": [";
  for (std::size_t i = 0; i < called.size(); ++i) {
    std::cout << (i > 0 ? ", " : "") << '"' << called[i] << '"';
  }
  std::cout << "], \"loaded\": "
            << (classifier.predict({queries, {4, 28, 28}}).size() == called.size() &&
                classifier.classes().size() == 5)
            << ", ";
  std::ofstream("named.safetensors", std::ios::binary)
      .write(reinterpret_cast<const char*>(saved.data()),
             static_cast<std::streamsize>(saved.size()));
  print("classes", classes, predicted.count(), ", ");
  print("losses", learner.losses().data(), learner.losses().size(), ", ");
  print("chosen", chosen.data(), chosen.size(), ", ");
  print("first_losses", &first_loss, 1, ", ");
  print("further_losses", state.back().GetTensorData<float>(), 2, "}\n");
}
