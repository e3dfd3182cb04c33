"One contender in a process of its own, as its users run it: images a second, peak memory and the system's pages (Linux): python benchmarks/alone.py NAME IMAGES"
import json, resource, sys, warnings
warnings.simplefilter('ignore')

def status(key):
    "MB of this process"
    return next(int(l.split()[1])/1024 for l in open('/proc/self/status') if l.startswith(key))

def pages():
    "Pages of memory that the system has given to this process"
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if __name__=='__main__':
    name,n = sys.argv[1],int(sys.argv[2])
    if name=='Pythae': import pythae.trainers
    from training import bare, fused, nets, ours, pythae, random_images, BareVAE, has_bfloat16
    start,images,net = status('VmRSS'),random_images(n),nets['dense']
    run = {'Learner':   lambda: ours(net.model((1,28,28)), images, 100, 'cpu'),
           'bare loop': lambda: bare(BareVAE(net), images, 100, 'cpu'),
           'bare loop, fused Adam, bfloat16': lambda: bare(BareVAE(net), images, 100, 'cpu', fused, has_bfloat16()),
           'Pythae':    lambda: pythae(net, images, 100, 'cpu')}[name]()
    del images                                                   # Pythae has made floats of them
    run(); before = pages()
    print(json.dumps(dict(speed=run(), pages=(pages()-before)/(n/100), memory=status('VmHWM')-start)))
