"Package metadata, read from settings.ini"
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

cfg = ConfigParser(delimiters=['=']); cfg.read(Path(__file__).parent/'settings.ini', encoding='utf-8'); cfg = cfg['DEFAULT']
extras = {nm: cfg[f'{nm}_requirements'].split() for nm in ('dev', 'kaggle', 'umap', 'inception', 'onnx')}
setup(name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
      author=cfg['author'], author_email=cfg['author_email'], url=cfg['git_url'], license='Apache-2.0',
      long_description=(Path(__file__).parent/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
      classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Science/Research', 'Natural Language :: English',
                   'Framework :: Jupyter', 'Programming Language :: Python :: 3', 'Topic :: Scientific/Engineering :: Artificial Intelligence'],
      packages=find_packages(include=['vae_nbdev*']), python_requires='>=' + cfg['min_python'],
      install_requires=cfg['requirements'].split(), extras_require=extras, zip_safe=False,
      entry_points={'nbdev': [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"], 'console_scripts': cfg['console_scripts'].split()})
