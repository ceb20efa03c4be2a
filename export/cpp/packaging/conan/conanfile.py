"""A Conan 2 recipe that packages the C++ sources it stands in.

    conan create export/cpp/packaging/conan --build=missing

With an ONNX Runtime of your own, leave Conan's out and say where yours is; docs/embedding.md has
the profile for it.
"""

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load

required_conan_version = ">=2.1"


class EdgemetaConan(ConanFile):
    """The library `edgemeta`, static unless `shared` is set; with `tool` also edgemeta-cpp."""

    name = "edgemeta"
    description = "Learns from a few samples on the device: adapts and predicts on ONNX Runtime"
    license = "Apache-2.0"
    topics = ("few-shot", "meta-learning", "onnx", "on-device learning")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "tool": [True, False]}
    default_options = {"shared": False, "tool": False}

    @property
    def _sources(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        """Read it where the project says it."""
        project = load(self, os.path.join(self._sources, "CMakeLists.txt"))
        self.version = re.search(r"project\(edgemeta VERSION ([\d.]+)", project)[1]

    def export_sources(self):
        """Take what CMakeLists.txt needs, and the licence."""
        for pattern in ("CMakeLists.txt", "cmake/*", "include/*", "src/*", "tools/*"):
            copy(self, pattern, src=self._sources, dst=self.export_sources_folder)
        root = os.path.join(self._sources, "..", "..")
        copy(self, "LICENSE", src=root, dst=self.export_sources_folder)

    def layout(self):
        """Use the usual folders of CMake."""
        cmake_layout(self)

    def requirements(self):
        """Link ONNX Runtime; the JSON library is needed to build only."""
        self.requires("onnxruntime/[>=1.18 <2]", transitive_libs=True)
        self.requires("nlohmann_json/[>=3.9 <4]", visible=False)

    def validate(self):
        """Refuse what the sources do not know."""
        check_min_cppstd(self, 17)

    def generate(self):
        """Write what CMake reads."""
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["EDGEMETA_SHARED"] = bool(self.options.shared)
        toolchain.cache_variables["EDGEMETA_TOOL"] = bool(self.options.tool)
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        """Compile."""
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        """Copy what `cmake --install` copies."""
        CMake(self).install()
        copy(
            self,
            "LICENSE",
            src=self.source_folder,
            dst=os.path.join(self.package_folder, "licenses"),
        )

    def package_info(self):
        """Leave find_package(edgemeta) to the installed CMake package, which finds ONNX Runtime."""
        self.cpp_info.libs = ["edgemeta"]
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs.append(os.path.join("lib", "cmake", "edgemeta"))
