# CMake generated Testfile for 
# Source directory: /work/w/study
# Build directory: /work/w/study/build-asan
# 
# This file includes the relevant testing commands required for 
# testing this directory and lists subdirectories to be tested as well.
subdirs("tests")
